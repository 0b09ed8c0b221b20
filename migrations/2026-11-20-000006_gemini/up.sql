-- Gemini's queue has a row like a shard's, so that gate, checks, drain and login are one and the same. It has no number: -1 stands for none, since
-- servers that know no Gemini yet read a number here. The row itself is a server's to make: only its settings know the name of the volume.
alter table shards
    add constraint shards_queue_name_check check (queue_name = case shard_index when -1 then 'gemini' else 'codex-' || shard_index end),
    add constraint shards_shard_index_check check (shard_index >= -1);
