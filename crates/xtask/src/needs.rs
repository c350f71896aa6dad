//! What the tasks need from outside, one entry each: how it is found, and how it is installed when it is not there.
//!
//! A machine has nothing but Rust until this has run, and a session may be handed a new one at any time; so an entry
//! installs from Debian's packages or from PyPI, and never asks a person for anything but the right to do so. Python
//! tools live in one virtual environment below `target/`: nothing outside the working copy depends on them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use quintet_testkit::postgres;

use crate::shell;

/// Something that a task needs and Rust does not bring.
pub struct Need {
    /// What people call it.
    pub name: &'static str,
    /// The program, by the name that it has in its folder.
    program: &'static str,
    from: From,
}

enum From {
    /// In `PATH`, or from these Debian packages.
    Debian(&'static [&'static str]),
    /// Where this finds it, or from these Debian packages: some keep their programs out of `PATH`.
    DebianFound(fn(&str) -> Option<PathBuf>, &'static [&'static str]),
    /// In the virtual environment, or by this pip requirement.
    Pip(&'static str),
}

/// The interpreter itself; `python3-venv` is a package of its own on Debian.
pub const PYTHON: Need = Need {
    name: "Python 3",
    program: "python3",
    from: From::Debian(&["python3", "python3-venv", "python3-pip"]),
};

/// The second store, and what its tests start.
pub const POSTGRESQL: Need = Need {
    name: "PostgreSQL",
    program: "postgres",
    from: From::DebianFound(postgresql_program, &["postgresql"]),
};

fn postgresql_program(name: &str) -> Option<PathBuf> {
    postgres::program_dir().ok().map(|programs| programs.join(name))
}

/// What the workers of the tests and of the examples are written for. Nothing is built with it.
pub const NODE: Need = Need {
    name: "Node.js",
    program: "node",
    from: From::Debian(&["nodejs"]),
};

/// An S3 service for the tests of object storage.
pub const MOTO: Need = Need {
    name: "Moto",
    program: "moto_server",
    from: From::Pip("moto[server]==5.2.*"),
};

/// Makes requests up from the OpenAPI description, and judges the answers.
pub const SCHEMATHESIS: Need = Need {
    name: "Schemathesis",
    program: "st",
    from: From::Pip("schemathesis==4.32.*"),
};

impl Need {
    /// The program, installed first if it must be.
    pub fn ensure(&self) -> Result<PathBuf> {
        match self.from {
            From::Debian(packages) => self.ensure_debian(shell::which, packages),
            From::DebianFound(find, packages) => self.ensure_debian(find, packages),
            From::Pip(requirement) => self.ensure_pip(requirement, &venv_dir()),
        }
    }

    fn ensure_debian(&self, find: fn(&str) -> Option<PathBuf>, packages: &[&str]) -> Result<PathBuf> {
        if let Some(found) = find(self.program) {
            return Ok(found);
        }
        apt_install(self.name, packages)?;
        find(self.program).with_context(|| format!("{} is installed, but {} is not found", self.name, self.program))
    }

    fn ensure_pip(&self, requirement: &str, venv: &Path) -> Result<PathBuf> {
        let program = venv.join("bin").join(self.program);
        // The note holds the requirement, so that raising a pin here installs anew instead of using what is there.
        let note = venv.join(format!("{}.installed", self.program));
        if program.is_file() && std::fs::read_to_string(&note).is_ok_and(|text| text == requirement) {
            return Ok(program);
        }
        shell::step(&format!("install {} ({requirement})", self.name), || {
            ensure_venv(venv)?;
            let pip = [
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                requirement,
            ];
            shell::run(shell::command(venv.join("bin/python")).args(pip))?;
            Ok(std::fs::write(&note, requirement)?)
        })?;
        Ok(program)
    }
}

fn venv_dir() -> PathBuf {
    shell::target_dir().join("tools/venv")
}

fn ensure_venv(venv: &Path) -> Result<()> {
    // A half-made environment has no pip: an interrupted set-up must not be taken for a finished one.
    if venv.join("bin/pip").is_file() {
        return Ok(());
    }
    let python = PYTHON.ensure()?;
    let make = || {
        let mut command = shell::command(&python);
        command.args(["-m", "venv", "--clear"]).arg(venv);
        command
    };
    // Debian's python3 comes without the module, and says so only by failing.
    if !shell::succeeds(&mut make()) {
        apt_install("Python's venv", &["python3-venv"])?;
        shell::run(&mut make())?;
    }
    Ok(())
}

fn apt_install(name: &str, packages: &[&str]) -> Result<()> {
    let line = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    if shell::which("apt-get").is_none() {
        bail!("{name} is needed; on Debian it comes with: {line}");
    }
    if !is_root() {
        bail!("{name} is needed; install it with: sudo {line}");
    }
    shell::step(&format!("install {name} ({})", packages.join(", ")), || {
        shell::run(apt().args(["update", "-q"]))?;
        shell::run(
            apt()
                .args(["install", "-q", "-y", "--no-install-recommends"])
                .args(packages),
        )
    })
}

fn apt() -> std::process::Command {
    let mut apt = shell::command("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

fn is_root() -> bool {
    shell::output(shell::command("id").arg("-u")).is_ok_and(|id| id.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_in_the_path_is_not_installed_again() {
        let shell = Need {
            name: "the shell",
            program: "sh",
            from: From::Debian(&["no-such-package"]),
        };
        assert!(shell.ensure().unwrap().ends_with("sh"));
    }

    #[test]
    fn a_program_outside_of_the_path_is_found_where_its_package_keeps_it() {
        fn elsewhere(name: &str) -> Option<PathBuf> {
            Some(Path::new("/elsewhere").join(name))
        }
        let hidden = Need {
            name: "a server",
            program: "serverd",
            from: From::DebianFound(elsewhere, &["no-such-package"]),
        };
        assert_eq!(hidden.ensure().unwrap(), Path::new("/elsewhere/serverd"));
    }

    #[test]
    fn an_installed_tool_is_used_only_while_its_pin_is_the_same() {
        let venv = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(venv.path().join("bin")).unwrap();
        std::fs::write(venv.path().join("bin/tool"), "").unwrap();
        std::fs::write(venv.path().join("tool.installed"), "tool==1.*").unwrap();
        let tool = Need {
            name: "a tool",
            program: "tool",
            from: From::Pip("tool==1.*"),
        };

        assert_eq!(
            tool.ensure_pip("tool==1.*", venv.path()).unwrap(),
            venv.path().join("bin/tool")
        );

        // The environment passes for a whole one with a pip and a python that only fails.
        std::fs::write(venv.path().join("bin/pip"), "").unwrap();
        assert!(tool.ensure_pip("tool==2.*", venv.path()).is_err());
    }
}
