//! What can run scripts here: which program, of which version, and why that one.

use std::path::PathBuf;

use aictl_api::{
    config::Config,
    document::doctor::{Check, CheckStatus as Status},
};
use aictl_sandbox::interpreter::{Interpreter, InterpreterError, Runtime};

use crate::run;

/// Where the system's own programs are.
const SYSTEM: [&str; 2] = ["/usr/bin", "/bin"];

/// What was found.
pub struct Found {
    /// The Python that runs scripts.
    pub python: Option<Interpreter>,
    /// Where interpreters are.
    pub paths: Vec<PathBuf>,
    /// Where the configuration names a Python, if it does.
    configured: Option<String>,
    runtimes: Vec<(Runtime, Result<Interpreter, InterpreterError>)>,
}

/// Looks for all of them, as a run does.
pub fn find(config: Option<&Config>) -> Found {
    let configured = config.and_then(|config| config.sandbox.python());
    let find =
        |runtime| (runtime, run::find_interpreter(runtime, configured.map(|(path, _)| path)));
    let runtimes: Vec<_> = Runtime::ALL.into_iter().map(find).collect();
    let good = || runtimes.iter().filter_map(|(_, found)| found.as_ref().ok());
    Found {
        python: good().find(|found| found.runtime() == Runtime::Python).cloned(),
        paths: good().map(|found| found.exe().to_owned()).collect(),
        configured: configured.map(|(_, place)| place.to_string()),
        runtimes,
    }
}

impl Found {
    /// A check for each; `python` is the version of Python, where it is known.
    pub fn checks(&self, python: Option<&str>) -> Vec<Check> {
        let check = |(runtime, found): &(Runtime, Result<Interpreter, InterpreterError>)| {
            let is_python = *runtime == Runtime::Python;
            let configured = self.configured.as_deref().filter(|_| is_python);
            match found {
                Ok(interpreter) => {
                    let version = python.filter(|_| is_python);
                    Check::ok(runtime.name(), words(interpreter, version, configured))
                }
                Err(error) => absent(*runtime, error, configured),
            }
        };
        self.runtimes.iter().map(check).collect()
    }
}

fn words(interpreter: &Interpreter, version: Option<&str>, configured: Option<&str>) -> String {
    let exe = interpreter.exe();
    let is_system = exe.parent().is_some_and(|parent| SYSTEM.iter().any(|path| parent == *path));
    let mut words = exe.display().to_string();
    if let Some(version) = version {
        words += &format!(", version {version}");
    }
    words
        + &match (configured, is_system) {
            (Some(place), _) => format!(", which sandbox.python at {place} names"),
            (None, true) => ", the system's".to_owned(),
            (None, false) => ", found on PATH".to_owned(),
        }
}

fn absent(runtime: Runtime, error: &InterpreterError, configured: Option<&str>) -> Check {
    // Without Python the sandbox cannot even be tried.
    let (status, package) = match runtime {
        Runtime::Python => (Status::Failed, "python3"),
        Runtime::Bash => (Status::Missing, "bash"),
        Runtime::Node => (Status::Missing, "nodejs"),
    };
    match configured {
        Some(place) => {
            let advice = format!("mend sandbox.python at {place}, or take the line away");
            Check::bad(runtime.name(), status, error.to_string(), &advice)
        }
        None => {
            // Any other error says what to do in its own words.
            if !matches!(error, InterpreterError::Absent { .. }) {
                return Check::bad(runtime.name(), status, error.to_string(), "");
            }
            let advice = format!(
                "for scripts of that kind, install it: `sudo apt install {package}`, or as your \
                 distribution does it"
            );
            Check::bad(runtime.name(), status, "not found", &advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_says_how_to_get_it() {
        for (runtime, status, package) in [
            (Runtime::Python, Status::Failed, "install python3"),
            (Runtime::Bash, Status::Missing, "install bash"),
            (Runtime::Node, Status::Missing, "install nodejs"),
        ] {
            let check = absent(runtime, &InterpreterError::Absent { runtime }, None);
            assert_eq!((check.name.as_str(), check.status), (runtime.name(), status));
            // Once.
            assert!(!check.detail.contains("install"), "{}", check.detail);
            assert!(check.advice.is_some_and(|advice| advice.contains(package)), "{runtime}");
        }
        let absent = absent(
            Runtime::Python,
            &InterpreterError::Absent { runtime: Runtime::Python },
            Some("/etc/aictl/aictl.toml:3"),
        );
        assert!(absent.advice.is_some_and(|advice| advice.contains("at /etc/aictl/aictl.toml:3")));
    }

    #[test]
    fn the_pythons_version_and_where_it_comes_from_are_told() {
        let found = find(None);
        let Some(python) = &found.python else { panic!("there is a Python where tests run") };
        let told = words(python, Some("3.12.1"), None);
        assert!(told.contains(", version 3.12.1, "), "{told}");
        let told = words(python, None, Some("a.toml:3"));
        assert!(told.ends_with(", which sandbox.python at a.toml:3 names"), "{told}");
        assert_eq!(found.checks(None).len(), Runtime::ALL.len());
    }
}
