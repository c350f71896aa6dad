//! `quintet keys`: API keys. A key is shown once; the settings hold only its hash.

use std::process::ExitCode;

use super::document::BadInput;
use super::output::{print_json, print_line};
use crate::identity::{EVERY_NAMESPACE, Grant, Minted, is_namespace, mint};

/// Make API keys
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a key, and print it with what the settings need
    Create(Create),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Who uses it; appears in logs
    #[arg(long, default_value = "key")]
    name: String,
    /// What it may do: viewer, operator, author, worker, admin, or names such as tasks:read and tasks:*; several are
    /// divided by commas
    #[arg(long, value_delimiter = ',', default_value = "operator")]
    permissions: Vec<Grant>,
    /// Whose workflows and runs it sees; `*` is everybody's
    #[arg(long, default_value = "default")]
    namespace: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Carries the command out.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Verb::Create(create) = args.verb;
    let harmless =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@".contains(c));
    if !harmless(&create.name) {
        return Err(BadInput::at("--name", "consists of letters, digits and -_.@").into());
    }
    if create.namespace != EVERY_NAMESPACE && !is_namespace(&create.namespace) {
        let message = "must be `*`, or 1 to 63 letters, digits and ._-, and not `quintet`";
        return Err(BadInput::at("--namespace", message).into());
    }
    let minted = mint().map_err(anyhow::Error::msg)?;
    if create.json {
        print_json(&serde_json::json!({
            "key": minted.key,
            "entry": {
                "name": create.name,
                "sha256": minted.sha256,
                "permissions": create.permissions,
                "namespace": create.namespace,
            },
        }))?;
    } else {
        print_line(&for_people(&create, &minted))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn for_people(create: &Create, minted: &Minted) -> String {
    let Create {
        name,
        namespace,
        permissions,
        ..
    } = create;
    let quoted = permissions
        .iter()
        .map(|permission| format!("\"{permission}\""))
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        "{key}\n\n\
         # The key above is not shown again. Clients send it as `Authorization: Bearer {start}...`.\n\
         # For quintet.toml:\n\
         [[auth.api_keys]]\n\
         name = \"{name}\"\n\
         sha256 = \"{sha256}\"\n\
         permissions = [{quoted}]\n\
         namespace = \"{namespace}\"",
        key = minted.key,
        start = &minted.key[..6],
        sha256 = minted.sha256,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::identity::Role;

    #[test]
    fn what_is_printed_can_be_put_into_the_settings_as_it_is() {
        let create = Create {
            name: "ci".to_owned(),
            permissions: vec![Grant::Role(Role::Operator), Grant::Role(Role::Author)],
            namespace: "default".to_owned(),
            json: false,
        };
        let minted = mint().expect("key");
        let printed = for_people(&create, &minted);
        let (key, settings) = printed.split_once('\n').expect("lines");
        assert_eq!(key, minted.key);
        let config = Config::parse(settings).expect("settings");
        let [entry] = config.auth.api_keys.as_slice() else {
            panic!("one key")
        };
        assert_eq!(entry.sha256.as_deref(), Some(minted.sha256.as_str()));
        assert_eq!(
            entry.permissions,
            [Grant::Role(Role::Operator), Grant::Role(Role::Author)]
        );
        assert!(!settings.contains(&minted.key));
    }
}
