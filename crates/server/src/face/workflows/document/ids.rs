//! What steps are called: by the client, or after their names; and which step a name means.

use std::collections::{HashMap, HashSet};

/// Longest id made from a name.
const LONGEST: usize = 60;

/// Gives every step an id. `given` are the clients' (id, name) pairs.
pub(super) fn assign(given: &[(Option<&str>, &str)]) -> Vec<String> {
    let mut used: HashSet<String> = given.iter().filter_map(|(id, _)| id.map(str::to_owned)).collect();
    let mut next: HashMap<String, usize> = HashMap::new();
    let id_of = |(nth, (id, name)): (usize, &(Option<&str>, &str))| match id {
        Some(id) => (*id).to_owned(),
        None => {
            let base = slug(name).unwrap_or_else(|| format!("step_{}", nth + 1));
            unique(base, &mut used, &mut next)
        }
    };
    given.iter().enumerate().map(id_of).collect()
}

fn unique(base: String, used: &mut HashSet<String>, next: &mut HashMap<String, usize>) -> String {
    if used.insert(base.clone()) {
        return base;
    }
    let number = next.entry(base.clone()).or_insert(1);
    loop {
        *number += 1;
        let candidate = format!("{base}_{number}");
        if used.insert(candidate.clone()) {
            return candidate;
        }
    }
}

/// The name in lower case, with one `_` for every run of other characters.
fn slug(name: &str) -> Option<String> {
    let mut slug = String::new();
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.ends_with('_') {
            slug.push('_');
        }
        if slug.len() == LONGEST {
            break;
        }
    }
    let slug = slug.trim_matches('_');
    match slug.bytes().next()? {
        b'0'..=b'9' => Some(format!("step_{slug}")),
        _ => Some(slug.to_owned()),
    }
}

/// Finds steps by id, or by a name that only one step has.
pub(super) struct Names<'a> {
    ids: HashSet<&'a str>,
    names: HashMap<&'a str, Option<usize>>,
}

impl<'a> Names<'a> {
    pub fn new(ids: &'a [String], given: &[(Option<&'a str>, &'a str)]) -> Self {
        let mut names = HashMap::with_capacity(given.len());
        for (nth, (_, name)) in given.iter().enumerate() {
            names.entry(*name).and_modify(|only| *only = None).or_insert(Some(nth));
        }
        Self {
            ids: ids.iter().map(String::as_str).collect(),
            names,
        }
    }

    /// The id of the step that is meant. An unknown name is returned as it is: the plan refuses it.
    pub fn find<'b>(&self, ids: &'b [String], name: &'b str) -> Result<&'b str, String> {
        if self.ids.contains(name) {
            return Ok(name);
        }
        match self.names.get(name) {
            None => Ok(name),
            Some(Some(nth)) => Ok(&ids[*nth]),
            Some(None) => Err(format!("several steps are named \"{name}\": give them ids")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_made_from_names_and_are_unique() {
        let given = [
            (None, "call ai-router"),
            (Some("a"), "x"),
            (None, "A!"),
            (None, "a"),
            (None, "a"),
            (None, ""),
            (None, "Größe"),
            (None, "2nd"),
            (None, "___"),
        ];
        let ids = assign(&given);
        let expected = [
            "call_ai_router",
            "a",
            "a_2",
            "a_3",
            "a_4",
            "step_6",
            "gr_e",
            "step_2nd",
            "step_9",
        ];
        assert_eq!(ids, expected);
    }

    #[test]
    fn names_find_ids_unless_they_are_ambiguous() {
        let given = [(None, "one"), (Some("two"), "Second"), (None, "twin"), (None, "twin")];
        let ids = assign(&given);
        let names = Names::new(&ids, &given);
        assert_eq!(names.find(&ids, "Second"), Ok("two"));
        assert_eq!(names.find(&ids, "two"), Ok("two"));
        assert_eq!(names.find(&ids, "ghost"), Ok("ghost"));
        assert_eq!(names.find(&ids, "twin"), Ok("twin"), "an id goes before a name");
        let given = [(Some("x"), "twin"), (Some("y"), "twin")];
        let ids = assign(&given);
        assert!(Names::new(&ids, &given).find(&ids, "twin").is_err());
    }
}
