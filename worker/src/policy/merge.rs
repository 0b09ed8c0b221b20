//! A template merged into settings: the template's keys win; everything else, comments and order too, stays as it was written.

use toml_edit::{DocumentMut, Item, TableLike, Value};

/// Merges a template into settings. Returns whether anything has changed: what says the same in other words has not.
pub(super) fn merge(settings: &mut DocumentMut, template: &DocumentMut) -> bool {
    merge_table(settings.as_table_mut(), template.as_table(), false)
}

/// In an `inline` table, one in braces, there is no room for others.
fn merge_table(settings: &mut dyn TableLike, template: &dyn TableLike, inline: bool) -> bool {
    let mut changed = false;
    for (name, wanted) in template.iter() {
        let found = settings.get_mut(name);
        if found.as_ref().is_some_and(|found| same(found, wanted)) {
            continue;
        }
        changed |= match found.and_then(|found| replace(found, wanted)) {
            Some(changed) => changed,
            None => {
                insert(settings, template, name, wanted, inline);
                true
            }
        };
    }
    changed
}

/// Puts a value, or what a table has, in the place of another of its kind. Returns whether that has changed it; `None` for another kind.
fn replace(found: &mut Item, wanted: &Item) -> Option<bool> {
    let inline = found.is_inline_table();
    if let (Some(found), Some(wanted)) = (found.as_table_like_mut(), wanted.as_table_like()) {
        return Some(merge_table(found, wanted, inline));
    }
    let (found, wanted) = (found.as_value_mut().filter(|_| !inline)?, wanted.as_value()?);
    if wanted.is_inline_table() {
        return None;
    }
    // The comment behind it is the user's.
    let decor = found.decor().clone();
    *found = wanted.clone();
    *found.decor_mut() = decor;
    Some(true)
}

/// Puts an item after those that are there, in the place of another that is of another kind.
fn insert(settings: &mut dyn TableLike, template: &dyn TableLike, name: &str, wanted: &Item, inline: bool) {
    let key = template.key(name).cloned().unwrap_or_else(|| name.into());
    let item = match (inline, wanted.clone().into_value()) {
        (true, Ok(value)) => Item::Value(value),
        _ => placed_last(wanted.clone()),
    };
    settings.remove(name);
    settings.entry_format(&key).or_insert(item);
}

/// Whether two say the same, however they are written.
fn same(one: &Item, other: &Item) -> bool {
    match (one.as_table_like(), other.as_table_like()) {
        (Some(one), Some(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, item)| other.get(name).is_some_and(|other| same(item, other)))
        }
        (None, None) => match (one, other) {
            (Item::ArrayOfTables(one), Item::ArrayOfTables(other)) => {
                let tables = |one, other| same(&Item::Table(one), &Item::Table(other));
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| tables(one.clone(), other.clone()))
            }
            (Item::Value(one), Item::Value(other)) => same_value(one, other),
            _ => false,
        },
        _ => false,
    }
}

fn same_value(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::String(one), Value::String(other)) => one.value() == other.value(),
        (Value::Integer(one), Value::Integer(other)) => one.value() == other.value(),
        (Value::Float(one), Value::Float(other)) => one.value() == other.value(),
        (Value::Boolean(one), Value::Boolean(other)) => one.value() == other.value(),
        (Value::Datetime(one), Value::Datetime(other)) => one.value() == other.value(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_value(one, other))
        }
        // These are tables to `same`, but not inside of arrays.
        (Value::InlineTable(one), Value::InlineTable(other)) => same(
            &Item::Value(Value::InlineTable(one.clone())),
            &Item::Value(Value::InlineTable(other.clone())),
        ),
        _ => false,
    }
}

/// An item without its place in the document that it comes from, so that it is written after what is there.
fn placed_last(mut item: Item) -> Item {
    match &mut item {
        Item::Table(table) => {
            table.set_position(None);
            for (_, item) in table.iter_mut() {
                *item = placed_last(std::mem::take(item));
            }
        }
        Item::ArrayOfTables(tables) => {
            for table in tables.iter_mut() {
                table.set_position(None);
            }
        }
        Item::Value(_) | Item::None => {}
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(settings: &str, template: &str) -> String {
        let (mut settings, template) = (settings.parse().unwrap(), template.parse().unwrap());
        let changed = merge(&mut settings, &template);
        let text = settings.to_string();
        let mut again = text.parse().unwrap();
        assert!(
            !merge(&mut again, &template) && again.to_string() == text,
            "a second merge changes nothing:\n{text}"
        );
        assert!(changed);
        text
    }

    #[test]
    fn the_templates_keys_win_and_all_else_stays_with_its_comments_and_order() {
        let settings = "# mine\nmodel = \"m\" # the good one\n\napproval_policy = 'on-request' # asks\n[tools] # all of them\nweb = true\n\n[[hooks]]\nname = \"a\"\n\n[mcp.x]\nargs = [ 1 ]\n";
        let template = "approval_policy = \"never\"\nsandbox_mode = \"danger-full-access\"\n[tools]\nweb = false\nview = { image = true }\n[profiles.ci]\n# for machines\nmodel = \"n\"\n";
        insta::assert_snapshot!(merged(settings, template), @r#"
        # mine
        model = "m" # the good one

        approval_policy = "never" # asks
        sandbox_mode = "danger-full-access"
        [tools] # all of them
        web = false
        view = { image = true }

        [[hooks]]
        name = "a"

        [mcp.x]
        args = [ 1 ]
        [profiles.ci]
        # for machines
        model = "n"
        "#);
    }

    #[test]
    fn a_table_and_a_value_of_one_name_give_way_to_the_template() {
        insta::assert_snapshot!(merged("a = 1\n[b]\nc = 2\n", "b = 3\n[a]\nc = 4\n"), @"
        b = 3
        [a]
        c = 4
        ");
        insta::assert_snapshot!(merged("a = { x = 1, y = 2 }\nb.c = 1\n", "[a]\nx = 3\n[a.z]\nw = 1\n[b]\nd = 4\n"), @"
        a = { x = 3, y = 2 , z = { w = 1 } }
        b.c = 1
        b.d = 4
        ");
    }

    #[test]
    fn what_says_the_same_in_other_words_is_left_as_it_is_written() {
        let template = "approval_policy = \"never\"\nn = [1, { a = 2 }]\n[t]\nx = 0x10\n[[h]]\ny = 1\n"
            .parse()
            .unwrap();
        let settings = "approval_policy = 'never' # so\nn = [\n  1, {a=2}, # two\n]\nt.x = 16\nh = []\n";
        let mut document: DocumentMut = settings.replace("h = []\n", "[[h]] # one\ny=1\n").parse().unwrap();
        let before = document.to_string();
        assert!(!merge(&mut document, &template));
        assert_eq!(document.to_string(), before);
        let mut other: DocumentMut = settings.parse().unwrap();
        assert!(merge(&mut other, &template), "an empty list is not the template's");
    }
}
