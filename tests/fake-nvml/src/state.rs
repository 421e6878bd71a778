//! What the library remembers: how often it was initialised, and how often each call was made.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use serde_json::Value;

use crate::code::Code;
use crate::script::{self, Answer};

/// A device: a GPU, or one of the instances that it is divided into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    pub gpu: usize,
    pub mig: Option<usize>,
}

/// Handles of devices lie from here on, so that a small number is none.
const FIRST_HANDLE: usize = 0x0fa4_e000;
/// How many handles a GPU has: its own, and one for each instance.
const HANDLES: usize = 16;

impl Device {
    /// The handle by which the caller knows it.
    pub fn handle(self) -> usize {
        FIRST_HANDLE + self.gpu * HANDLES + self.mig.map_or(0, |mig| mig + 1)
    }

    fn from_handle(handle: usize) -> Option<Self> {
        let place = handle.checked_sub(FIRST_HANDLE)?;
        Some(Self { gpu: place / HANDLES, mig: (place % HANDLES).checked_sub(1) })
    }
}

#[derive(Debug, Default)]
struct State {
    /// How often it was initialised and not shut down again.
    users: u32,
    /// The script, once it was looked for.
    script: Option<Value>,
    was_read: bool,
    /// How often each call was made.
    turns: BTreeMap<(Option<Device>, String), usize>,
    /// How many calls about each GPU were made.
    asked: BTreeMap<usize, u64>,
}

static STATE: Mutex<State> = Mutex::new(State {
    users: 0,
    script: None,
    was_read: false,
    turns: BTreeMap::new(),
    asked: BTreeMap::new(),
});

fn state() -> MutexGuard<'static, State> {
    // A panic elsewhere leaves only counters behind.
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn script(&mut self) -> Option<&Value> {
        if !self.was_read {
            self.script = script::read(own_path());
            self.was_read = true;
        }
        self.script.as_ref()
    }

    fn gpus(&self) -> &[Value] {
        let gpus = self.script.as_ref().and_then(|script| script.get("gpus"));
        gpus.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The script's entry for a device.
    fn entry(&self, device: Device) -> Option<&Value> {
        let gpu = self.gpus().get(device.gpu)?;
        match device.mig {
            Some(mig) => gpu.get("mig")?.get(mig),
            None => Some(gpu),
        }
    }

    /// Notes a call in the script's `log`, if it has one.
    fn log(&self, device: Option<Device>, call: &str) {
        let Some(path) = self.script.as_ref().and_then(|script| script.get("log")?.as_str()) else {
            return;
        };
        let line = match device {
            Some(Device { gpu, mig: None }) => format!("{gpu} {call}\n"),
            Some(Device { gpu, mig: Some(mig) }) => format!("{gpu}/{mig} {call}\n"),
            None => format!("{call}\n"),
        };
        let file = OpenOptions::new().create(true).append(true).open(path);
        if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
            eprintln!("fake NVML: {path}: {error}");
        }
    }

    /// Counts a call, and gives what it does; `None` if the script does not say.
    fn turn(&mut self, device: Option<Device>, call: &str) -> Option<Answer> {
        self.log(device, call);
        let turns = self.turns.entry((device, call.to_owned())).or_default();
        let before = *turns;
        *turns += 1;
        let entry = match device {
            Some(device) => self.entry(device)?,
            None => self.script.as_ref()?,
        };
        script::answer(entry.get("calls")?, call, before)
    }

    /// Counts a call about a GPU, and says whether it is there to answer.
    fn is_lost(&mut self, device: Device) -> bool {
        let asked = self.asked.entry(device.gpu).or_default();
        *asked += 1;
        let asked = *asked;
        let most = self.gpus().get(device.gpu).and_then(|gpu| gpu.get("lost_after")?.as_u64());
        most.is_some_and(|most| asked > most)
    }
}

/// What an answer comes to for the one who called. Nothing is locked meanwhile: others go on.
fn carry_out(answer: Answer) -> Result<Value, Code> {
    match answer {
        Answer::Value(value) => Ok(value),
        Answer::Error(code) => Err(code),
        Answer::Hang => loop {
            thread::park();
        },
    }
}

/// `nvmlInit`.
pub fn init() -> Result<(), Code> {
    let answer = {
        let mut state = state();
        if state.script().is_none() {
            return Err(Code::DRIVER_NOT_LOADED);
        }
        if let Some(text) = state.script().and_then(|script| script.get("print")?.as_str()) {
            print!("{text}");
            // A closed output is no matter of the library's.
            let _ = io::stdout().flush();
        }
        state.turn(None, "Init")
    };
    answer.map_or(Ok(Value::Null), carry_out)?;
    state().users += 1;
    Ok(())
}

/// `nvmlShutdown`.
pub fn shut_down() -> Result<(), Code> {
    let answer = {
        let mut state = initialised()?;
        state.turn(None, "Shutdown")
    };
    answer.map_or(Ok(Value::Null), carry_out)?;
    let mut state = initialised()?;
    state.users -= 1;
    Ok(())
}

fn initialised() -> Result<MutexGuard<'static, State>, Code> {
    let state = state();
    if state.users == 0 { Err(Code::UNINITIALIZED) } else { Ok(state) }
}

/// Whether there was an `nvmlInit`: without, no other error is looked for.
pub fn check_initialised() -> Result<(), Code> {
    initialised().map(drop)
}

/// A call about no GPU: its answer, or `default` where the script has none.
pub fn ask(call: &str, default: impl FnOnce(&[Value]) -> Value) -> Result<Value, Code> {
    let answer = {
        let mut state = initialised()?;
        match state.turn(None, call) {
            Some(answer) => answer,
            None => Answer::Value(default(state.gpus())),
        }
    };
    carry_out(answer)
}

/// A call about a device; `default` gives the answer where the script has none, by the device's
/// entry.
pub fn ask_device(
    handle: usize,
    call: &str,
    default: impl FnOnce(&Value) -> Option<Value>,
) -> Result<(Device, Value), Code> {
    let (device, answer) = {
        let mut state = initialised()?;
        let device = Device::from_handle(handle).ok_or(Code::INVALID_ARGUMENT)?;
        if state.entry(device).is_none() {
            return Err(Code::INVALID_ARGUMENT);
        }
        if state.is_lost(device) {
            return Err(Code::GPU_IS_LOST);
        }
        let answer = match state.turn(Some(device), call) {
            Some(answer) => answer,
            None => {
                let value = state.entry(device).and_then(default);
                value.map_or(Answer::Error(Code::NOT_SUPPORTED), Answer::Value)
            }
        };
        (device, answer)
    };
    carry_out(answer).map(|value| (device, value))
}

/// The handle of the first GPU that is wanted; `missing` if there is none.
pub fn handle(
    call: &str,
    is_wanted: impl Fn(usize, &Value) -> bool,
    missing: Code,
) -> Result<usize, Code> {
    let gpu = {
        let state = initialised()?;
        let gpu = state.gpus().iter().enumerate().position(|(place, gpu)| is_wanted(place, gpu));
        gpu.ok_or(missing)?
    };
    let device = Device { gpu, mig: None };
    ask_device(device.handle(), call, |_| Some(Value::Null))?;
    Ok(device.handle())
}

/// Begins anew with this script, in tests.
#[cfg(test)]
pub fn play(script: Value) {
    *state() = State { script: Some(script), was_read: true, ..State::default() };
}

/// The file that this library was loaded from, by the address of one of its functions
/// (proc_pid_maps(5)).
fn own_path() -> Option<PathBuf> {
    let own = own_path as *const () as usize;
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let mut fields = line.splitn(6, ' ');
        let (from, to) = fields.next()?.split_once('-')?;
        let from = usize::from_str_radix(from, 16).ok()?;
        let to = usize::from_str_radix(to, 16).ok()?;
        let path = fields.nth(4)?.trim_start();
        ((from..to).contains(&own) && path.starts_with('/')).then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_names_one_device() {
        for device in [
            Device { gpu: 0, mig: None },
            Device { gpu: 0, mig: Some(0) },
            Device { gpu: 15, mig: Some(6) },
        ] {
            assert_eq!(Device::from_handle(device.handle()), Some(device));
        }
        for handle in [0, 1, FIRST_HANDLE - 1] {
            assert_eq!(Device::from_handle(handle), None, "{handle}");
        }
    }

    #[test]
    fn the_library_knows_where_it_is() {
        assert_eq!(own_path(), std::env::current_exe().ok());
    }
}
