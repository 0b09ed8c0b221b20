//! The skill's reader of task lists and the direct path's are two programs with one grammar: what one takes or refuses, the other does, word for word.

pub mod lists;
pub mod reader;

use std::cell::RefCell;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use self::reader::{Reader, direct_checklist, direct_tasks};

/// Texts that are tried of each kind.
pub const CASES: u32 = 600;

/// Runs both on as many texts, shrinks the first on which they differ, and returns how many were taken, not refused.
pub fn compare(texts: impl Strategy<Value = Vec<u8>>) -> u32 {
    let reader = RefCell::new(Reader::start());
    let taken = RefCell::new(0);
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let agreed = TestRunner::new(config).run(&texts, |text| {
        let mut reader = reader.borrow_mut();
        let direct = direct_tasks(&text);
        *taken.borrow_mut() += u32::from(direct.get("phases").is_some());
        prop_assert_eq!(reader.tasks(&text), direct);
        prop_assert_eq!(reader.checklist(&text), direct_checklist(&text));
        Ok(())
    });
    if let Err(error) = agreed {
        panic!("{error}");
    }
    taken.into_inner()
}

#[test]
fn lists_as_people_write_them_are_read_alike() {
    assert_eq!(
        compare(lists::list().prop_map(String::into_bytes)),
        CASES,
        "the strategy makes lists that are refused"
    );
}

#[test]
fn lists_with_mistakes_are_read_or_refused_alike() {
    let taken = compare(lists::mistaken(lists::list()));
    assert!((CASES / 20..CASES - CASES / 20).contains(&taken), "{taken} of {CASES} were taken");
}

#[test]
fn real_lists_with_mistakes_are_read_or_refused_alike() {
    let taken = compare(lists::mistaken(lists::fixtures()));
    assert!((CASES / 20..CASES - CASES / 20).contains(&taken), "{taken} of {CASES} were taken");
}

#[test]
fn odd_characters_and_ends_of_lines_are_read_or_refused_alike() {
    let mut reader = Reader::start();
    let list = |middle: &str| format!("## Phase 1: A\n- [ ] T001 Begin\n{middle}\n");
    let mut texts: Vec<Vec<u8>> = [
        "\u{1c}",
        "\u{85}",
        "\u{feff}",
        "\u{feff}\u{feff}",
        "\r\n",
        "a\r\r\n",
        "\u{2028}",
        "\u{200b}",
        "-",
        "#",
        "## ",
        "- [ ]",
    ]
    .iter()
    .flat_map(|odd| {
        [
            odd.to_string(),
            format!("{odd}{}", list("")),
            list(odd),
            list(&format!("- [ ] T002 {odd}")),
        ]
    })
    .chain(
        (0..0x300)
            .filter_map(char::from_u32)
            .map(|c| list(&format!("- [ ]{c}T002{c}x{c}y"))),
    )
    .map(String::into_bytes)
    .collect();
    let said = "## Dependencies\nPhase 2 depends on Phase 1";
    let phases = |count: usize| {
        (1..=count)
            .map(|n| format!("## Phase {n}: A\n- [ ] T{n:03} Do\n"))
            .collect::<String>()
    };
    let apart = |lines: usize| said.replace('\n', &"\n".repeat(lines));
    let long = |more: usize| format!("{said}{}", "é".repeat(more));
    let bounds = [
        phases(50) + said,
        phases(51) + said,
        phases(2) + &apart(200),
        phases(2) + &apart(201),
        phases(2) + &long(974),
        phases(2) + &long(975),
    ];
    texts.extend(bounds.map(String::into_bytes));
    texts.extend([
        b"\xff".to_vec(),
        b"## Phase 1: A\n\n\xe2\x82".to_vec(),
        b"a\nb\n\xed\xa0\x80\n".to_vec(),
        b"\xf0\x9f\x98".to_vec(),
    ]);
    for text in texts {
        assert_eq!(reader.tasks(&text), direct_tasks(&text), "{}", String::from_utf8_lossy(&text));
        assert_eq!(
            reader.checklist(&text),
            direct_checklist(&text),
            "{}",
            String::from_utf8_lossy(&text)
        );
    }
}
