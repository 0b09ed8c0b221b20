drop table worker_commands;
drop index worker_sessions_redirected_idx;
drop index worker_sessions_open_idx;
alter table worker_sessions
    drop column redirected_at,
    drop column draining_at,
    drop column hostname;
drop table servers;
