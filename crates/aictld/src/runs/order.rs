//! What a caller wants to have run, checked: the script is what it is for good and is hashed, and
//! the limits are those that the configuration allows.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use aictl_api::{
    config::{OverMax, Sandbox},
    error::CallError,
    limits::{self, LimitSpec, Limits},
};
use aictl_sandbox::{
    Script, ScriptError,
    interpreter::Runtime,
    protocol::{Profile, ScriptArgs, ScriptName},
};
use nix::sys::stat::fstat;
use tokio::task::spawn_blocking;

use crate::call::{ProfileName, Run};

/// The largest script that is hashed right here: it takes less time than to have it done elsewhere.
const SMALL: i64 = 64 * 1024;

/// The limits that a caller sets, in the order of the call.
const LIMITS: [LimitSpec; 6] =
    [limits::TIMEOUT, limits::CPU, limits::MEMORY, limits::PROCESSES, limits::OUTPUT, limits::WORK];

/// What is to be run.
#[derive(Debug)]
pub struct Order {
    /// The script: sealed memory.
    pub script: Arc<OwnedFd>,
    /// Whether it has a standard input.
    pub stdin: bool,
    /// The script's file name.
    pub name: ScriptName,
    /// What runs it.
    pub runtime: Runtime,
    /// Its arguments.
    pub args: ScriptArgs,
    /// How strictly it is isolated.
    pub profile: Profile,
    /// Its limits.
    pub limits: Limits,
    /// Whether its `result` is wanted.
    pub want_result: bool,
    /// What is told of it in the journal.
    pub code: Code,
    /// How long it took until it was allowed.
    pub authorised: Duration,
}

/// What is told of a script in the journal: never itself, nor what it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// How strictly it is isolated.
    pub profile: &'static str,
    /// How many arguments it was given.
    pub arguments: usize,
}

impl Order {
    /// How many bytes it holds while it waits.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.args.as_slice().iter().map(|arg| arg.len() + size_of::<String>()).sum()
    }
}

fn invalid(words: impl Into<String>) -> CallError {
    CallError::InvalidArgument(words.into())
}

/// Checks what a caller wants to have run.
///
/// # Errors
/// [`CallError::InvalidArgument`], whatever is wrong.
pub async fn check(run: &Run, config: &Sandbox) -> Result<Order, CallError> {
    let limits = limits_of(run.limits, config)?;
    let (sha256, bytes) = hash(&run.script.0, limits.source()).await?;
    let profile = profile_of(run, config)?;
    let code =
        Code { sha256, bytes, profile: profile.name(), arguments: run.args.as_slice().len() };
    Ok(Order {
        script: Arc::clone(&run.script.0),
        stdin: run.stdin,
        name: run.name.clone(),
        runtime: run.runtime,
        args: run.args.clone(),
        profile,
        limits,
        want_result: run.want_result,
        code,
        authorised: Duration::ZERO,
    })
}

/// The profile, with what the configuration says of it: the caller has no say in that.
fn profile_of(run: &Run, config: &Sandbox) -> Result<Profile, CallError> {
    match (run.profile, run.runtime) {
        (ProfileName::Standard, _) => Ok(Profile::Standard),
        (ProfileName::Strict, Runtime::Python) => Ok(Profile::Strict(config.strict.clone())),
        (ProfileName::Strict, runtime) => Err(invalid(format!(
            "the profile strict is for Python, and this is a script for {runtime}: use standard"
        ))),
    }
}

/// The limits of a run, of which the caller has set those that are not 0.
fn limits_of(asked: [u64; LIMITS.len()], config: &Sandbox) -> Result<Limits, CallError> {
    let mut limits = Limits::default();
    let rows = LIMITS.into_iter().zip(asked).chain([(limits::SOURCE, 0)]);
    for (spec, asked) in rows {
        let asked = (asked != 0).then_some(asked);
        // Where the configuration says so is nothing to the caller.
        let over = |over: OverMax| invalid(OverMax { place: None, ..over }.to_string());
        let value = match asked.map(|asked| spec.check(asked)).transpose() {
            Ok(asked) => config.limit(&spec, asked).map_err(over)?,
            Err(error) => return Err(invalid(format!("{}: {error}", spec.name))),
        };
        limits.set(&spec, value).map_err(|error| invalid(format!("{}: {error}", spec.name)))?;
    }
    Ok(limits)
}

/// SHA-256 and size of a script.
async fn hash(script: &Arc<OwnedFd>, limit: u64) -> Result<(String, u64), CallError> {
    let size = fstat(script.as_fd()).map_or(0, |stat| stat.st_size);
    let script = Arc::clone(script);
    let hash = move || {
        let script = script.try_clone().map_err(ScriptError::Read)?;
        let script = Script::from_memfd(script, limit)?;
        Ok((script.sha256(), script.text().len() as u64))
    };
    let hashed = match size <= SMALL {
        true => hash(),
        // Others must not wait for it.
        false => spawn_blocking(hash)
            .await
            .unwrap_or_else(|error| Err(ScriptError::Read(std::io::Error::other(error)))),
    };
    hashed.map_err(|error| match error {
        ScriptError::NotSealed => invalid(
            "the script is not a sealed memfd: make one with memfd_create(2) and MFD_ALLOW_SEALING, \
             write the script, and add the seals F_SEAL_WRITE, F_SEAL_GROW and F_SEAL_SHRINK",
        ),
        ScriptError::Read(_) => {
            CallError::Unavailable("the helper cannot read the script now: try again".to_owned())
        }
        error => invalid(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::net::UnixStream};

    use aictl_api::config::{Config, Settings};
    use aictl_sandbox::sealed_memfd;
    use nix::{
        fcntl::{FcntlArg, OFlag, fcntl, open},
        sys::{
            memfd::{MFdFlags, memfd_create},
            stat::Mode,
        },
        unistd::pipe,
    };

    use super::*;
    use crate::call::Descriptor;

    fn run(script: OwnedFd) -> Run {
        Run {
            script: Descriptor(Arc::new(script)),
            name: ScriptName::try_from("a.py".to_owned()).unwrap(),
            runtime: Runtime::Python,
            args: ScriptArgs::try_from(vec!["one".to_owned()]).unwrap(),
            profile: ProfileName::Standard,
            limits: [0; 6],
            stdin: false,
            want_result: false,
        }
    }

    fn good() -> OwnedFd {
        sealed_memfd(b"print(1)\n").unwrap()
    }

    fn config(text: &str) -> Sandbox {
        Config::try_from(Settings::parse("x", text).unwrap()).unwrap().sandbox
    }

    async fn words(run: Run) -> String {
        match check(&run, &Sandbox::default()).await {
            Err(CallError::InvalidArgument(words)) => words,
            other => panic!("{other:?} is no invalid argument"),
        }
    }

    #[tokio::test]
    async fn a_good_order_is_hashed_and_has_the_configured_limits() {
        let config = config("[sandbox.limits]\nmemory = \"32M\"");
        let order = check(&run(good()), &config).await.unwrap();
        assert_eq!(order.limits.memory(), 32 << 20);
        assert_eq!(order.limits.processes(), limits::PROCESSES.default);
        assert_eq!(
            order.code.sha256,
            "cc42155088fca5730758db72b2a5bca33112a941dfaa2d43098ec422ce4ea213"
        );
        assert_eq!((order.code.bytes, order.code.arguments), (9, 1));
        // A large one takes another way to the same hash.
        let text = vec![b'#'; 1 << 20];
        let large = check(&run(sealed_memfd(&text).unwrap()), &config).await.unwrap();
        let same = Script::new(text, 1 << 20).unwrap().sha256();
        assert_eq!(large.code.sha256, same);
    }

    #[tokio::test]
    async fn what_strict_leaves_to_a_script_is_for_the_configuration_to_say() {
        let config = config("[sandbox.strict]\nimports = [\"math\"]\nmax-depth = 7");
        let strict = Run { profile: ProfileName::Strict, ..run(good()) };
        let order = check(&strict, &config).await.unwrap();
        let Profile::Strict(policy) = &order.profile else { panic!("{:?}", order.profile) };
        assert_eq!((policy.imports.names(), policy.depth), (&["math".to_owned()][..], 7));
        assert_eq!(order.code.profile, "strict");
        for runtime in [Runtime::Bash, Runtime::Node] {
            let words = words(Run { runtime, ..strict.clone() }).await;
            assert!(words.contains("strict is for Python"), "{words}");
        }
    }

    #[tokio::test]
    async fn whatever_is_no_sealed_memory_is_no_script() {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let unsealed = memfd_create("x", flags).unwrap();
        nix::unistd::write(&unsealed, b"print(1)").unwrap();
        let half = memfd_create("x", flags).unwrap();
        nix::unistd::write(&half, b"print(1)").unwrap();
        fcntl(&half, FcntlArg::F_ADD_SEALS(nix::fcntl::SealFlag::F_SEAL_WRITE)).unwrap();
        let path = open("/etc/passwd", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).unwrap();
        let cases: Vec<OwnedFd> = vec![
            unsealed,
            half,
            path,
            File::open("/etc/passwd").unwrap().into(),
            File::open("/dev/zero").unwrap().into(),
            File::open("/").unwrap().into(),
            pipe().unwrap().0,
            UnixStream::pair().unwrap().0.into(),
        ];
        for script in cases {
            let what = format!("{script:?}");
            assert!(words(run(script)).await.contains("F_SEAL_WRITE"), "{what}");
        }
        assert_eq!(words(run(sealed_memfd(b"").unwrap())).await, "the script is empty");
        let huge = sealed_memfd(&vec![b'#'; (1 << 20) + 1]).unwrap();
        assert!(words(run(huge)).await.contains("more than the limit of 1048576"));
    }

    #[tokio::test]
    async fn a_limit_over_its_range_or_over_the_configured_maximum_is_named() {
        let with = |index: usize, value: u64| {
            let mut limits = [0; 6];
            limits[index] = value;
            Run { limits, ..run(good()) }
        };
        for (index, spec) in LIMITS.into_iter().enumerate() {
            let words = words(with(index, spec.max + 1)).await;
            assert!(words.starts_with(spec.name), "{words}");
            assert!(check(&with(index, spec.max), &Sandbox::default()).await.is_ok());
        }
        let config = config("[sandbox.max]\nmemory = \"1G\"");
        let over = check(&with(2, (1 << 30) + 1), &config).await.unwrap_err();
        assert!(over.message().starts_with("memory ") && over.message().ends_with("at most 1G"));
        assert!(!over.message().contains("toml"), "{over}");
    }
}
