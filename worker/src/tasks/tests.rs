//! The grammar of task lists, by example.

use super::*;

fn code_and_message(content: &[u8]) -> String {
    let failure = TaskList::parse(content).expect_err("the list is bad").failure();
    format!("{}: {}", failure.code, failure.message)
}

fn ids(phase: &TaskPhase) -> Vec<&str> {
    phase.tasks.iter().map(|task| task.task_id.as_str()).collect()
}

#[test]
fn the_first_phase_with_open_tasks_is_next() {
    let list = TaskList::parse(include_bytes!("../fixtures/001-celery-oauth-volumes.tasks.md")).expect("it parses");
    assert_eq!(list.phases.len(), 6);
    let next = list.next_phase().expect("there is work");
    assert_eq!(
        (next.number.as_str(), next.title.as_str()),
        ("4", "User Story 2 - Sharded Worker Routing (Priority: P2)")
    );
    assert_eq!(ids(&next), ["T013", "T014", "T015", "T016", "T017", "T018"]);
    insta::assert_debug_snapshot!(next.tasks[0], @r#"
    Task {
        task_id: "T013",
        description: "Add Celery routing helper for codex shard queues in `moonmind/workflows/speckit_celery/celeryconfig.py`",
        parallel: true,
        story: "US2",
        line: 67,
    }
    "#);
}

#[test]
fn a_list_with_every_box_checked_has_no_next_phase() {
    let list = TaskList::parse(include_bytes!("../fixtures/007-scalable-codex-worker.tasks.md")).expect("it parses");
    assert_eq!(list.phases.iter().map(|phase| phase.tasks.len()).sum::<usize>(), 15);
    assert_eq!(list.next_phase(), None);
}

#[test]
fn the_last_phase_may_have_the_letter_n_and_placeholders_are_no_tasks() {
    let list = TaskList::parse(
        b"## Phase 1: Setup\r\n- [X] T001 Begin\r\n\r\n## Phase N: Polish & Cross-Cutting Concerns\r\n\r\n- [ ] TXXX [P] Documentation updates\r\n- [ ] T1000 End\r\n  - [ ] a step of it\r\n",
    )
    .expect("it parses");
    let next = list.next_phase().expect("there is work");
    assert_eq!((next.number.as_str(), ids(&next)), ("N", vec!["T1000"]));
}

#[test]
fn code_blocks_comments_and_links_are_no_tasks() {
    let list = TaskList::parse(
        b"- [P]: may run in parallel\n<!--\n- [ ] T001 sample\n-->\n## Phase 1: A\n- [docs](x)\n```\n- [ ] T001 sample\n```\n- [ ] T001 Real\n## Phase Dependencies\n- T001 first\n",
    )
    .expect("it parses");
    assert_eq!(ids(&list.next_phase().expect("there is work")), ["T001"]);
}

#[test]
fn bad_lists_are_refused_with_line_and_reason() {
    let cases: [&[u8]; 13] = [
        b"",
        b" \n\n",
        b"# Tasks\n\nNothing yet.\n",
        b"## Phase 1: Setup\n\n- [ ] TXXX Something\n",
        b"## Phase 1: Setup\n\n- [y] T001 Do it\n",
        b"## Phase 1: Setup\n- [] T001 Do it\n",
        b"## Phase 1: Setup\n- [ ] T1 Do it\n",
        b"## Phase 1: Setup\n- [ ] TODO Do it\n",
        b"## Phase 1: Setup\n- [ ] Do it\n",
        b"- [ ] T001 Do it\n## Phase 1: Setup\n",
        b"## Phase 1: A\n- [x] T001 Do it\n## Phase 2: B\n- [ ] T001 Do it again\n",
        b"## Phase 1 Setup\n- [ ] T001 Do it\n",
        b"## Phase 1: A\n- [ ] T001 caf\xe9\n",
    ];
    insta::assert_snapshot!(cases.map(code_and_message).join("\n"), @r"
    TASKS_EMPTY: tasks.md is empty: write at least one `## Phase 1: Title` with a task line such as `- [ ] T001 Do this in that file`
    TASKS_EMPTY: tasks.md is empty: write at least one `## Phase 1: Title` with a task line such as `- [ ] T001 Do this in that file`
    TASKS_EMPTY: tasks.md has no phase: write at least one `## Phase 1: Title` with a task line such as `- [ ] T001 Do this in that file`
    TASKS_EMPTY: tasks.md has no task: write at least one `## Phase 1: Title` with a task line such as `- [ ] T001 Do this in that file`
    TASKS_MALFORMED: tasks.md line 3: `[y]` is no checkbox: write `[ ]` for a task to do, `[x]` for one that is done
    TASKS_MALFORMED: tasks.md line 2: `[]` is no checkbox: write `[ ]` for a task to do, `[x]` for one that is done
    TASKS_MALFORMED: tasks.md line 2: `T1` is no task id: write T and at least three digits, such as T001
    TASKS_MALFORMED: tasks.md line 2: `TODO` is no task id: write T and at least three digits, such as T001
    TASKS_MALFORMED: tasks.md line 2: `Do it` has no task id: write `- [ ] T001 Do it`
    TASKS_MALFORMED: tasks.md line 1: task T001 stands under no phase: put a `## Phase 1: Title` above it
    TASKS_MALFORMED: tasks.md line 4: task T001 is on line 2 already: give each task an id of its own
    TASKS_MALFORMED: tasks.md line 1: the heading `Phase 1 Setup` has no colon: write `## Phase 1: Title`
    TASKS_MALFORMED: tasks.md line 2: is not UTF-8 text: save the file as UTF-8
    ");
}

#[test]
fn what_no_report_can_carry_is_refused_with_its_line() {
    let after = |line: &str| code_and_message(format!("## Phase 1: A\n- [x] T001 Begin\n{line}\n").as_bytes());
    let control = "TASKS_MALFORMED: tasks.md line 3: holds the control character U+0000: remove it";
    assert_eq!(after("- [ ] T002 a\0b"), control);
    assert_eq!(after("text for people \0"), control);
    assert!(after("- [ ] T002 \u{1b}[31mred").contains("U+001B"));
    assert!(after("- [ ] T002 a\rb").contains("U+000D"));
    let long = after(&format!("- [ ] T002 {}", "é".repeat(2001)));
    assert!(
        long.starts_with("TASKS_MALFORMED: tasks.md line 3: the description of task T002 is longer than 2000"),
        "{long}"
    );
    assert!(TaskList::parse(format!("## Phase 1: A\n- [ ] T002 {}\tb\r\n", "é".repeat(1990)).as_bytes()).is_ok());
    assert!(after(&format!("## Phase 2: {}", "x".repeat(201))).contains("longer than 200"));
    assert!(after(&format!("- [ ] T{} a", "0".repeat(5000))).chars().count() < 400);
    assert!(after(&format!("- [ ] {}", "x".repeat(5000))).chars().count() < 400);
    let many: String = (2..400).map(|n| format!("- [ ] T{n:03} a\n")).collect();
    assert!(after(&many).contains("line 302: phase 1 has more than 300 tasks"));
}

/// Each phase with those that it depends on.
fn order(content: &[u8]) -> String {
    let list = TaskList::parse(content).expect("it parses");
    let told = list
        .phases
        .iter()
        .map(|phase| format!("{}: {}", phase.number, phase.depends_on.join(" ")));
    told.collect::<Vec<_>>().join("\n")
}

/// A list with a section on dependencies.
fn depending(section: &str) -> String {
    let phases = [
        "1: Setup",
        "2: Foundational (Blocking)",
        "3: User Story 1 - A",
        "4: User Story 2 - B",
        "5: User Story 3 - C",
        "N: Polish & More",
    ];
    let phases: String = phases.map(|phase| format!("## Phase {phase}\n")).concat();
    order(format!("{phases}- [ ] T001 Do it\n## Dependencies & Execution Order\n{section}\n").as_bytes())
}

#[test]
fn dependencies_are_read_from_the_lists_of_other_hands() {
    insta::assert_snapshot!(order(include_bytes!("../fixtures/001-celery-oauth-volumes.tasks.md")), @r"
    1: 
    2: 1
    3: 2
    4: 2 3
    5: 3 4
    6: 3 4 5
    ");
    insta::assert_snapshot!(order(include_bytes!("../fixtures/007-scalable-codex-worker.tasks.md")), @r"
    1: 
    2: 1
    3: 2
    4: 3
    5: 4
    ");
}

#[test]
fn dependencies_are_read_from_the_words_of_spec_kits_template() {
    let section = "### Phase Dependencies

- **Setup (Phase 1)**: No dependencies - can start immediately
- **Foundational (Phase 2)**: Depends on Setup completion - BLOCKS all user stories
- **User Stories (Phase 3+)**: All depend on Foundational phase completion
  - Or sequentially in priority order (P1 → P2 → P3)
- **Polish (Final Phase)**: Depends on all desired user stories being complete

### User Story Dependencies

- **User Story 2 (P2)**: Can start after Foundational (Phase 2) - May integrate with US1 but should be independently testable";
    insta::assert_snapshot!(depending(section), @r"
    1: 
    2: 1
    3: 2
    4: 2
    5: 2
    N: 3 4 5
    ");
}

#[test]
fn a_list_of_numbers_names_phases_and_stories() {
    for (section, last_two) in [
        ("Phase N depends on phases 1, 2 and 4.", "5: \nN: 1 2 4"),
        ("Phase N depends on Phases 2-4", "5: \nN: 2 3 4"),
        ("Phase N depends on user stories 1 and 3", "5: \nN: 3 5"),
        ("US3 starts only after US1, and US2. Phase N depends on US3", "5: 3 4\nN: 5"),
        ("Phase 4+ depend on Setup", "5: 1\nN: 1"),
        ("Phase 5 and Polish both depend on Phase 9", "5: \nN: "),
    ] {
        let told = depending(section);
        assert!(told.ends_with(last_two), "{section}: {told}");
    }
}

#[test]
fn what_is_not_sure_is_no_dependency() {
    let none = depending("");
    for section in [
        "- US2 may depend on US1",
        "- US2 does not depend on US1",
        "- Phase 3 depends on Phase 2 if there is time",
        "- T007 in Phase 4 depends on Phase 3",
        "- Phase 3 depends on Phase 3",
        "- Models -> services -> Phase 3",
        "- Stories can follow each other: US1 -> US2 -> US3",
        "```\nPhase 4 depends on Phase 3\n```",
        "<!-- Phase 4 depends on Phase 3 -->",
        "## Notes\nPhase 4 depends on Phase 3",
        "depends on",
        "-> -> ->",
    ] {
        assert_eq!(depending(section), none, "{section}");
    }
    let titled =
        b"# Dependencies\n- Phase 2 depends on Phase 1\n## Phase 1: Dependencies\n- [ ] T001 Phase 1 depends on Phase 2\n## Phase 2: B\n";
    assert_eq!(order(titled), "1: \n2: ");
}

#[test]
fn a_list_that_was_written_to_cost_time_costs_none() {
    let phases: String = (1..200_000).map(|n| format!("## Phase {n}: A\n")).collect();
    let all = "Phases 1-199999 depend on Phases 1-199999. ".repeat(20_000);
    let list = TaskList::parse(format!("{phases}- [ ] T001 Do it\n## Dependencies\n{all}\n").as_bytes()).expect("it parses");
    assert!(list.phases.iter().all(|phase| phase.depends_on.is_empty()));
    let none = depending("");
    assert_eq!(depending(&"phase stories ".repeat(100_000)), none);
    let late = format!("{}Phase 2 depends on Phase 1", "\n".repeat(200));
    assert_eq!(depending(&late), none);
    assert_ne!(depending(&late[1..]), none);
}

#[test]
fn points_of_a_checklist_are_counted_outside_of_code_and_comments() {
    let text = b"# Checklist\n<!--\n- [ ] sample\n-->\n- [x] CHK001 a\n  * [X] b\n- [ ] c\n- [-] neither\n- [link](x)\n```\n- [ ] code\n```\n- [ ]\n";
    let counted = checklists::count("requirements", text);
    assert_eq!((counted.name.as_str(), counted.done, counted.total), ("requirements", 2, 3));
    let files = ["b.md", "a-b.md", ".md", "a.md", "notes.txt", "x\u{7}.md"].map(str::to_owned);
    assert_eq!(checklists::names(&files), ["a", "a-b", "b"]);
}
