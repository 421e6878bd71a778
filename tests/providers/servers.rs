//! The servers of the machine.

use std::{
    ops::Deref,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::machine::{Machine, Taken, Who, take};

/// A real server.
#[derive(Debug)]
pub struct Server {
    /// As aictl calls the service; the unit has the same name.
    pub name: &'static str,
    pub provider: &'static str,
    /// Where it answers when it is ready, and what.
    ready: &'static str,
    pub models: Option<&'static str>,
    /// The key that it wants.
    pub key: Option<&'static str>,
    /// What must be there to start it, where it may be absent.
    needs: Option<&'static str>,
}

pub const LITELLM: Server = Server {
    name: "litellm",
    provider: "litellm",
    ready: "http://127.0.0.1:4000/health/liveliness",
    models: Some("tiny"),
    key: Some("sk-litellm-4c1d9a7be05f42d8"),
    needs: Some("/opt/litellm/litellm"),
};
pub const LLAMA_SERVER: Server = Server {
    name: "llama-cpp-native",
    provider: "llama-server",
    ready: "http://127.0.0.1:8080/health",
    models: Some("tiny"),
    key: Some("sk-llama-2f7a90d4"),
    needs: None,
};
pub const LLAMA_CPP_PYTHON: Server = Server {
    name: "llamacpp-python",
    provider: "llama-cpp-python",
    ready: "http://127.0.0.1:8000/v1/models",
    models: Some("tiny"),
    key: None,
    needs: Some("/opt/llama-cpp-python/llama_cpp"),
};
pub const WHISPER: Server = Server {
    name: "whisper-cpp",
    provider: "whisper-cpp",
    ready: "http://127.0.0.1:8090/health",
    models: None,
    key: None,
    needs: None,
};
pub const ALL: [Server; 4] = [LITELLM, LLAMA_SERVER, LLAMA_CPP_PYTHON, WHISPER];

/// How long a server may take to start: LiteLLM takes half a minute where all else rests.
const START: Duration = Duration::from_secs(240);
/// Asks an address once, by a client that is not ours: 0 if the answer is good.
pub const ASK: &str = "import sys, urllib.request as u\ntry:\n u.urlopen(sys.argv[1], timeout=5)\nexcept \
                   OSError:\n sys.exit(1)";

impl Server {
    pub fn unit(&self) -> String {
        format!("{}.service", self.name)
    }

    /// Whether it could be fetched. The summary of `cargo xtask test` names those that could not.
    pub fn is_there(&self, machine: &Machine) -> bool {
        self.needs.is_none_or(|path| machine.exists(path))
    }

    #[track_caller]
    pub fn wait_until_ready(&self, machine: &Machine) {
        let ask = ["python3", "-I", "-c", ASK, self.ready];
        machine.wait_long_for(START, &format!("{} at {}", self.name, self.ready), || {
            machine.run(Who::Root, &ask).code == Some(0)
        });
    }
}

/// The machine, while a test has it, with every server ready.
pub struct Servers(Taken);

impl Deref for Servers {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.0
    }
}

/// Takes the machine for one test.
#[track_caller]
pub fn servers() -> Servers {
    let machine = Servers(take());
    machine.forget();
    let there: Vec<Server> = ALL.into_iter().filter(|server| server.is_there(&machine)).collect();
    let start = Instant::now();
    for server in &there {
        machine.root(&["systemctl", "start", &server.unit()]);
    }
    for server in &there {
        server.wait_until_ready(&machine);
        println!("{} is ready after {:.1} s", server.name, start.elapsed().as_secs_f64());
    }
    machine
}

impl Servers {
    /// Undoes what a test has changed.
    fn forget(&self) {
        for server in &ALL {
            let directory = self.path(&drop_in_directory(server));
            if directory.exists() {
                std::fs::remove_dir_all(directory).unwrap();
                self.root(&["systemctl", "daemon-reload"]);
                self.root(&["systemctl", "stop", &server.unit()]);
            }
        }
        self.root(&["rm", "-rf", "/home/anna/.config"]);
        self.root(&["systemctl", "--quiet", "reset-failed"]);
    }

    /// Sets variables of a server's unit for one test, and starts it anew.
    pub fn restart_with(&self, server: &Server, environment: &str) {
        let directory = drop_in_directory(server);
        self.root(&["mkdir", "-p", &directory]);
        let text = format!("[Service]\nEnvironment={environment}\n");
        self.write(&format!("{directory}/test.conf"), &text);
        self.root(&["systemctl", "daemon-reload"]);
        self.root(&["systemctl", "--no-block", "restart", &server.unit()]);
    }

    /// Gives Anna the keys of all servers, in the file that is hers alone.
    pub fn give_anna_the_keys(&self) {
        let line = |server: &Server| Some(format!("{} = \"{}\"\n", server.name, server.key?));
        let text: String = ALL.iter().filter_map(line).collect();
        let script =
            "umask 077; mkdir -p ~/.config/aictl; printf %s \"$1\" > ~/.config/aictl/keys.toml";
        self.run(Who::Anna, &["sh", "-c", script, "sh", &text]).ok();
    }

    /// What `aictl status --json` says with these arguments. Its exit code may say that something
    /// is not well.
    #[track_caller]
    pub fn status(&self, who: Who, arguments: &[&str]) -> Value {
        self.status_with(who, &[], arguments)
    }

    /// The same with variables of the environment.
    #[track_caller]
    pub fn status_with(&self, who: Who, environment: &[&str], arguments: &[&str]) -> Value {
        let argv = [&["env"], environment, &["aictl", "status", "--json"], arguments].concat();
        let ran = self.run(who, &argv);
        assert!(matches!(ran.code, Some(0 | 3)), "{ran}");
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"))
    }

    /// The row of one server.
    #[track_caller]
    pub fn row(&self, who: Who, environment: &[&str], server: &Server) -> Value {
        let document = self.status_with(who, environment, &[server.name]);
        document["services"][0].clone()
    }
}

fn drop_in_directory(server: &Server) -> String {
    format!("/run/systemd/system/{}.d", server.unit())
}

/// The notes of a row, as one text.
pub fn notes(row: &Value) -> String {
    let notes = row["notes"].as_array().unwrap_or_else(|| panic!("{row:#}"));
    notes.iter().map(|note| note.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}
