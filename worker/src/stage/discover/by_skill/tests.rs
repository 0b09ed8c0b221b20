//! What a program's artifacts may say.

use super::*;

fn read(artifacts: Value) -> Result<Found, String> {
    found(artifacts.as_object().unwrap().clone())
}

fn phase() -> Value {
    json!({
        "number": "2", "title": "Core", "depends_on": ["1"], "more": true,
        "tasks": [{"task_id": "T002", "description": "Write it", "parallel": true, "story": "US1", "line": 7}],
    })
}

#[test]
fn a_phase_and_checklists_are_taken_as_they_are() {
    let found = read(json!({"phase": phase(), "checklists": [{"name": "ux", "total": 3, "done": 1}]})).unwrap();
    let task = v1::Task {
        task_id: "T002".to_owned(),
        description: "Write it".to_owned(),
        parallel: true,
        story: "US1".to_owned(),
        line: 7,
    };
    let next = v1::TaskPhase {
        number: "2".to_owned(),
        title: "Core".to_owned(),
        tasks: vec![task],
        depends_on: vec!["1".to_owned()],
    };
    let list = v1::Checklist {
        name: "ux".to_owned(),
        total: 3,
        done: 1,
    };
    assert_eq!((found.phase, found.checklists), (Some(next), vec![list]));
    assert_eq!(read(json!({"phase": null, "checklists": []})), Ok(Found::default()));
}

#[test]
fn what_is_no_phase_of_a_task_list_is_refused_with_the_reason() {
    let mut long = phase();
    long["tasks"][0]["description"] = "x".repeat(2001).into();
    let said = [
        read(json!({"phase": phase()})),
        read(json!({"checklists": []})),
        read(json!({"phase": long, "checklists": []})),
        read(json!({"phase": {"number": "1"}, "checklists": []})),
        read(json!({"phase": null, "checklists": [{"name": "a/b", "total": 1, "done": 1}]})),
        read(json!({"phase": null, "checklists": [{"name": "a", "total": 1, "done": 2}]})),
        read(json!({"phase": null, "checklists": vec![json!({"name": "a", "total": 1, "done": 1}); 101]})),
    ];
    let said: Vec<String> = said.into_iter().map(Result::unwrap_err).collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    its artifacts: missing field `checklists`
    its artifacts: missing field `phase`
    the description of T002 is not one line of 1 to 2000 characters
    its artifacts: missing field `title`
    a checklist has no name, or one of more than 200 characters, or one with a slash or a control character
    the checklist a has 2 of 1 points done
    it has more than 100 checklists
    ");
}
