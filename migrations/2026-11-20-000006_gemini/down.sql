-- Servers that know no Gemini go on without the row: its queue is nobody's again. The login itself stays in its volume.
delete from shards where queue_name = 'gemini';
delete from auth_volumes where provider = 'gemini';
alter table shards
    drop constraint shards_shard_index_check,
    drop constraint shards_queue_name_check;
