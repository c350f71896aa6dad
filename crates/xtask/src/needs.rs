//! What the tasks need from outside, one entry each: how it is found, and how it is installed when it is not there.
//!
//! A machine has nothing but Rust until this has run, and a session may be handed a new one at any time; so an entry
//! installs from Debian's packages, from PyPI or from npm, and never asks a person for anything but the right to do so.
//! Python tools live in virtual environments below `target/`, and packages of Node.js in one folder there: nothing
//! outside the working copy depends on them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use quintet_testkit::{bullmq, postgres};

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
    /// The same in an environment of its own, named by its folder: what it needs must not change what others need.
    PipAlone(&'static str, &'static str),
    /// In the folder of Node.js packages, or by these npm requirements.
    Npm(&'static [&'static str]),
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

/// Installs packages of Node.js.
const NPM: Need = Need {
    name: "npm",
    program: "npm",
    from: From::Debian(&["npm"]),
};

/// What queues of BullMQ lie in.
pub const REDIS: Need = Need {
    name: "Redis",
    program: "redis-server",
    from: From::Debian(&["redis-server"]),
};

/// Its workers and producers, whom Quintet shares queues with.
pub const BULLMQ: Need = Need {
    name: "BullMQ",
    program: "node_modules",
    from: From::Npm(&bullmq::PACKAGES),
};

/// Measures and cuts media, for the tests of tasks that are done in chunks.
pub const FFMPEG: Need = Need {
    name: "FFmpeg",
    program: "ffmpeg",
    from: From::Debian(&["ffmpeg"]),
};

/// An S3 service for the tests of object storage.
pub const MOTO: Need = Need {
    name: "Moto",
    program: "moto_server",
    from: From::Pip("moto[server]==5.2.*"),
};

/// Compute clusters for the tests of backends.
pub const RAY: Need = Need {
    name: "Ray",
    program: "ray",
    from: From::PipAlone("ray[serve]==2.60.*", "ray"),
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
            From::Pip(requirement) => self.ensure_pip(requirement, &venv_dir("venv")),
            From::PipAlone(requirement, folder) => self.ensure_pip(requirement, &venv_dir(folder)),
            From::Npm(requirements) => self.ensure_npm(requirements, &shell::target_dir().join("tools/npm")),
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

impl Need {
    /// The folder that has the packages in its `node_modules`.
    fn ensure_npm(&self, requirements: &[&str], folder: &Path) -> Result<PathBuf> {
        let note = folder.join("installed");
        let wanted = requirements.join("\n");
        if folder.join(self.program).is_dir() && std::fs::read_to_string(&note).is_ok_and(|text| text == wanted) {
            return Ok(folder.to_owned());
        }
        let npm = NPM.ensure()?;
        shell::step(&format!("install {} ({})", self.name, requirements.join(", ")), || {
            std::fs::create_dir_all(folder)?;
            // No script of a package runs, and no package above this folder is meant.
            let mut install = shell::command(npm);
            install
                .args([
                    "install",
                    "--no-save",
                    "--no-audit",
                    "--no-fund",
                    "--ignore-scripts",
                    "--prefix",
                ])
                .arg(folder);
            shell::run(install.args(requirements))?;
            Ok(std::fs::write(&note, wanted)?)
        })?;
        Ok(folder.to_owned())
    }
}

fn venv_dir(folder: &str) -> PathBuf {
    shell::target_dir().join("tools").join(folder)
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

    #[test]
    fn installed_packages_are_used_only_while_their_pins_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("node_modules")).unwrap();
        std::fs::write(folder.path().join("installed"), "a@1\nb@2").unwrap();
        let found = BULLMQ.ensure_npm(&["a@1", "b@2"], folder.path()).unwrap();
        assert_eq!(found, folder.path());
        // No registry has a package of this name.
        assert!(BULLMQ.ensure_npm(&["file:no-such-package"], folder.path()).is_err());
    }
}
