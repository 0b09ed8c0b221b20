//! Which tasks were ticked.

use std::io::Read;

use moorline_proto::v1::TaskPhase;

use super::Submit;
use crate::tasks::TaskList;

/// Largest task list that is read, in bytes.
const MOST: u64 = 4 << 20;

impl Submit<'_> {
    /// Tasks of the phase that the patch ticks, in order. They were open in the base commit, so those that are done in the checkout are the ones.
    pub(super) fn tasks_done(&self, phase: &TaskPhase) -> Vec<String> {
        let folder = &self.ctx.folder;
        let path = folder.repo.join("specs").join(&self.spec.feature_key).join("tasks.md");
        let mut content = Vec::new();
        let read = folder.open(&path).and_then(|file| file.take(MOST).read_to_end(&mut content));
        if let Err(error) = read {
            tracing::info!(%error, "no task list was left in the checkout: no task counts as ticked");
            return Vec::new();
        }
        match TaskList::parse(&content) {
            Ok(list) => ticked(&list, phase),
            Err(error) => {
                tracing::info!(%error, "the task list in the checkout can't be read any more: no task counts as ticked");
                Vec::new()
            }
        }
    }
}

fn ticked(list: &TaskList, phase: &TaskPhase) -> Vec<String> {
    let done = |id: &str| {
        list.phases
            .iter()
            .flat_map(|phase| &phase.tasks)
            .any(|task| task.done && task.id == id)
    };
    let tasks = phase.tasks.iter().map(|task| &task.task_id);
    tasks.filter(|id| done(id)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tasks_of_the_phase_that_are_ticked_now_count() {
        let before = TaskList::parse(b"## Phase 1: A\n- [ ] T001 a\n- [ ] T002 b\n- [ ] T003 c\n## Phase 2: B\n- [ ] T004 d\n").unwrap();
        let after = TaskList::parse(b"## Phase 1: A\n- [ ] T001 a\n- [x] T003 c\n- [X] T002 b\n## Phase 2: B\n- [x] T004 d\n").unwrap();
        assert_eq!(ticked(&after, &before.next_phase().unwrap()), ["T002", "T003"]);
    }
}
