//! The functions of nvml.h, as C sees them.
//!
//! A pointer that may be null is an `Option` of a reference, which looks the same to C; the header
//! asks of every caller that a pointer which is not null is good for what it points to.
#![allow(unsafe_code, reason = "names that C finds, and buffers of C")]
#![allow(non_snake_case, reason = "the names are NVML's")]

use std::ffi::{CStr, c_char, c_uint, c_ulonglong};
use std::mem::MaybeUninit;
use std::path::Path;
use std::slice;

use serde_json::{Value, json};

use crate::code::Code;
use crate::layout::{self, FanSpeedInfo, Memory, PciInfo, ProcessInfo, Utilization};
use crate::script::wrong;
use crate::{process, state};

/// Where a result goes; it need not hold anything yet.
type Out<'a, T> = Option<&'a mut MaybeUninit<T>>;
/// `nvmlDevice_t`.
type Handle = usize;

/// The return value for what a function came to.
fn returned(result: Result<(), Code>) -> Code {
    result.err().unwrap_or(Code::SUCCESS)
}

/// The place for a result. Like the real library, it asks first whether it is initialised.
fn place<'a, T>(out: Out<'a, T>) -> Result<&'a mut MaybeUninit<T>, Code> {
    state::check_initialised()?;
    out.ok_or(Code::INVALID_ARGUMENT)
}

/// A number of the script as the type of the function's result.
fn number<T: TryFrom<u64>>(value: &Value) -> Result<T, Code> {
    let number = value.as_u64().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| wrong(&format!("no number, or too large: {value}")))
}

/// A number of an object of the script.
fn part<T: TryFrom<u64>>(value: &Value, name: &str) -> Result<T, Code> {
    number(value.get(name).unwrap_or(&Value::Null))
}

/// What the script says about a device, for calls without a default.
fn ask(device: Handle, call: &str) -> Result<Value, Code> {
    state::ask_device(device, call, |_| None).map(|(_, value)| value)
}

/// A function with one number as its result, which is what the script says.
fn number_of<T: TryFrom<u64>>(device: Handle, call: &str, out: Out<'_, T>) -> Code {
    returned(place(out).and_then(|out| {
        out.write(number(&ask(device, call)?)?);
        Ok(())
    }))
}

/// The bytes of a string of the script.
fn bytes(value: &Value) -> Result<Vec<u8>, Code> {
    if let Some(text) = value.as_str() {
        return Ok(text.as_bytes().to_vec());
    }
    let list = value.get("bytes").and_then(Value::as_array);
    let list = list.ok_or_else(|| wrong(&format!("no string: {value}")))?;
    list.iter().map(number).collect()
}

/// Writes a string of the script into a buffer of the caller, with a zero at its end.
///
/// # Safety
/// `buffer` is null, or good for `length` bytes.
unsafe fn write_string(
    buffer: *mut c_char,
    length: c_uint,
    value: impl FnOnce() -> Result<Value, Code>,
) -> Code {
    let write = || {
        state::check_initialised()?;
        if buffer.is_null() {
            return Err(Code::INVALID_ARGUMENT);
        }
        let text = bytes(&value()?)?;
        let length = usize::try_from(length).unwrap_or(0);
        if text.len() >= length {
            return Err(Code::INSUFFICIENT_SIZE);
        }
        // SAFETY: not null, and so good for `length` bytes, as the caller promises.
        let buffer = unsafe { slice::from_raw_parts_mut(buffer.cast::<MaybeUninit<u8>>(), length) };
        for (to, byte) in buffer.iter_mut().zip(text.into_iter().chain([0])) {
            to.write(byte);
        }
        Ok(())
    };
    returned(write())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> Code {
    returned(state::init())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> Code {
    returned(state::shut_down())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlErrorString(code: Code) -> *const c_char {
    let text: &CStr = match code {
        Code::SUCCESS => c"no error",
        Code::NOT_SUPPORTED => c"not supported",
        Code::DRIVER_NOT_LOADED => c"no driver",
        Code::GPU_IS_LOST => c"GPU is lost",
        _ => c"error",
    };
    text.as_ptr()
}

/// # Safety
/// `version` is null, or good for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlSystemGetDriverVersion(version: *mut c_char, length: c_uint) -> Code {
    let value = || state::ask("SystemGetDriverVersion", |_| json!("580.95.05"));
    // SAFETY: the caller promises the same.
    unsafe { write_string(version, length, value) }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCount_v2(count: Out<'_, c_uint>) -> Code {
    returned(place(count).and_then(|count| {
        count.write(number(&state::ask("DeviceGetCount", |gpus| json!(gpus.len()))?)?);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: Out<'_, Handle>) -> Code {
    let is_wanted = |place: usize, _: &Value| u32::try_from(place) == Ok(index);
    returned(place(device).and_then(|device| {
        device.write(state::handle("HandleByIndex", is_wanted, Code::INVALID_ARGUMENT)?);
        Ok(())
    }))
}

/// # Safety
/// `bus_id` is null, or a string with a zero at its end.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(
    bus_id: *const c_char,
    device: Out<'_, Handle>,
) -> Code {
    returned(place(device).and_then(|device| {
        if bus_id.is_null() {
            return Err(Code::INVALID_ARGUMENT);
        }
        // SAFETY: not null, and so a string with an end, as the caller promises.
        let text = unsafe { CStr::from_ptr(bus_id) };
        let wanted = text.to_str().ok().and_then(address).ok_or(Code::INVALID_ARGUMENT)?;
        let is_wanted = |_: usize, gpu: &Value| address(bus_id_of(gpu)) == Some(wanted);
        device.write(state::handle("HandleByPciBusId", is_wanted, Code::NOT_FOUND)?);
        Ok(())
    }))
}

/// A GPU's place on the bus, by its entry in the script.
fn bus_id_of(gpu: &Value) -> &str {
    gpu.get("bus_id").and_then(Value::as_str).unwrap_or_default()
}

/// Domain, bus and device of `domain:bus:device.function`, whatever the number of leading zeros.
fn address(text: &str) -> Option<[u32; 3]> {
    let (domain, rest) = text.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, _) = rest.split_once('.')?;
    let hex = |text: &str| u32::from_str_radix(text, 16).ok();
    Some([hex(domain)?, hex(bus)?, hex(device)?])
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPciInfo_v3(device: Handle, pci: Out<'_, PciInfo>) -> Code {
    returned(place(pci).and_then(|pci| {
        let (_, value) = state::ask_device(device, "PciInfo", |gpu| Some(json!(bus_id_of(gpu))))?;
        let text = bytes(&value)?;
        let [domain, bus, device] =
            std::str::from_utf8(&text).ok().and_then(address).unwrap_or_default();
        let mut info = PciInfo {
            bus_id_legacy: [0; 16],
            domain,
            bus,
            device,
            pci_device_id: 0x2684_10de,
            pci_sub_system_id: 0,
            bus_id: [0; 32],
        };
        // One less, so that the zero at the end stays.
        for (to, byte) in info.bus_id[..31].iter_mut().zip(text) {
            *to = c_char::from_ne_bytes([byte]);
        }
        pci.write(info);
        Ok(())
    }))
}

/// # Safety
/// `name` is null, or good for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetName(device: Handle, name: *mut c_char, length: c_uint) -> Code {
    // SAFETY: the caller promises the same.
    unsafe { write_string(name, length, || ask(device, "Name")) }
}

/// # Safety
/// `uuid` is null, or good for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetUUID(device: Handle, uuid: *mut c_char, length: c_uint) -> Code {
    // SAFETY: the caller promises the same.
    unsafe { write_string(uuid, length, || ask(device, "UUID")) }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: Handle, memory: Option<&mut Memory>) -> Code {
    let fill = || {
        state::check_initialised()?;
        let memory = memory.ok_or(Code::INVALID_ARGUMENT)?;
        if memory.version != layout::version::<Memory>(2) {
            return Err(Code::ARGUMENT_VERSION_MISMATCH);
        }
        let value = ask(device, "MemoryInfo")?;
        memory.total = part(&value, "total")?;
        memory.reserved = part(&value, "reserved")?;
        memory.used = part(&value, "used")?;
        memory.free = memory.total.saturating_sub(memory.reserved.saturating_add(memory.used));
        Ok(())
    };
    returned(fill())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetUtilizationRates(device: Handle, out: Out<'_, Utilization>) -> Code {
    returned(place(out).and_then(|out| {
        let value = ask(device, "UtilizationRates")?;
        out.write(Utilization { gpu: part(&value, "gpu")?, memory: part(&value, "memory")? });
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTemperature(
    device: Handle,
    sensor: c_uint,
    temperature: Out<'_, c_uint>,
) -> Code {
    // NVML_TEMPERATURE_GPU is the only sensor.
    if sensor == 0 { number_of(device, "Temperature", temperature) } else { bad_argument() }
}

/// An argument that no function of the header takes.
fn bad_argument() -> Code {
    returned(state::check_initialised().and(Err(Code::INVALID_ARGUMENT)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPowerUsage(device: Handle, milliwatts: Out<'_, c_uint>) -> Code {
    number_of(device, "PowerUsage", milliwatts)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEnforcedPowerLimit(device: Handle, milliwatts: Out<'_, c_uint>) -> Code {
    number_of(device, "EnforcedPowerLimit", milliwatts)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPowerManagementLimit(
    device: Handle,
    milliwatts: Out<'_, c_uint>,
) -> Code {
    number_of(device, "PowerManagementLimit", milliwatts)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetClockInfo(device: Handle, kind: c_uint, clock: Out<'_, c_uint>) -> Code {
    // NVML_CLOCK_GRAPHICS, NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_CLOCK_VIDEO.
    let Some(name) =
        usize::try_from(kind).ok().and_then(|kind| ["graphics", "sm", "memory", "video"].get(kind))
    else {
        return bad_argument();
    };
    returned(place(clock).and_then(|clock| {
        let value = ask(device, "ClockInfo")?;
        let value = value.get(name).ok_or(Code::NOT_SUPPORTED)?;
        clock.write(number(value)?);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetNumFans(device: Handle, count: Out<'_, c_uint>) -> Code {
    number_of(device, "NumFans", count)
}

/// The speed of a fan, of an answer with one for each.
fn fan(device: Handle, call: &str, fan: c_uint) -> Result<c_uint, Code> {
    let value = ask(device, call)?;
    let fans = value.get("fans").ok_or_else(|| wrong(&format!("no fans: {value}")))?;
    let place = usize::try_from(fan).unwrap_or(usize::MAX);
    number(fans.get(place).ok_or(Code::INVALID_ARGUMENT)?)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetFanSpeed_v2(
    device: Handle,
    number: c_uint,
    speed: Out<'_, c_uint>,
) -> Code {
    returned(place(speed).and_then(|speed| {
        speed.write(fan(device, "FanSpeed", number)?);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetFanSpeedRPM(device: Handle, info: Option<&mut FanSpeedInfo>) -> Code {
    let fill = || {
        state::check_initialised()?;
        let info = info.ok_or(Code::INVALID_ARGUMENT)?;
        if info.version != layout::version::<FanSpeedInfo>(1) {
            return Err(Code::ARGUMENT_VERSION_MISMATCH);
        }
        info.speed = fan(device, "FanSpeedRPM", info.fan)?;
        Ok(())
    };
    returned(fill())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCurrPcieLinkGeneration(device: Handle, out: Out<'_, c_uint>) -> Code {
    number_of(device, "CurrPcieLinkGeneration", out)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMaxPcieLinkGeneration(device: Handle, out: Out<'_, c_uint>) -> Code {
    number_of(device, "MaxPcieLinkGeneration", out)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCurrPcieLinkWidth(device: Handle, out: Out<'_, c_uint>) -> Code {
    number_of(device, "CurrPcieLinkWidth", out)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMaxPcieLinkWidth(device: Handle, out: Out<'_, c_uint>) -> Code {
    number_of(device, "MaxPcieLinkWidth", out)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCurrentClocksThrottleReasons(
    device: Handle,
    reasons: Out<'_, c_ulonglong>,
) -> Code {
    number_of(device, "CurrentClocksThrottleReasons", reasons)
}

/// Two numbers, of now and after the next start.
fn now_and_then(
    device: Handle,
    call: &str,
    current: Out<'_, c_uint>,
    pending: Out<'_, c_uint>,
) -> Code {
    returned(place(current).and_then(|current| {
        let pending = place(pending)?;
        let value = ask(device, call)?;
        current.write(part(&value, "current")?);
        pending.write(part(&value, "pending")?);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEccMode(
    device: Handle,
    current: Out<'_, c_uint>,
    pending: Out<'_, c_uint>,
) -> Code {
    now_and_then(device, "EccMode", current, pending)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTotalEccErrors(
    device: Handle,
    kind: c_uint,
    counter: c_uint,
    count: Out<'_, c_ulonglong>,
) -> Code {
    // NVML_MEMORY_ERROR_TYPE_…, NVML_VOLATILE_ECC and NVML_AGGREGATE_ECC.
    let name = match (kind, counter) {
        (0, 0 | 1) => "corrected",
        (1, 0 | 1) => "uncorrected",
        _ => return bad_argument(),
    };
    returned(place(count).and_then(|count| {
        count.write(part(&ask(device, "TotalEccErrors")?, name)?);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigMode(
    device: Handle,
    current: Out<'_, c_uint>,
    pending: Out<'_, c_uint>,
) -> Code {
    now_and_then(device, "MigMode", current, pending)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMaxMigDeviceCount(device: Handle, count: Out<'_, c_uint>) -> Code {
    // The most that there can be, not those that there are.
    let most = |gpu: &Value| gpu.get("mig").map(|_| json!(7));
    returned(place(count).and_then(|count| {
        count.write(number(&state::ask_device(device, "MaxMigDeviceCount", most)?.1)?);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: Handle,
    index: c_uint,
    mig_device: Out<'_, Handle>,
) -> Code {
    returned(place(mig_device).and_then(|mig_device| {
        let mig = usize::try_from(index).map_err(|_| Code::INVALID_ARGUMENT)?;
        let there = |gpu: &Value| gpu.get("mig")?.get(mig).map(|_| Value::Null);
        match state::ask_device(device, "MigDeviceHandleByIndex", there) {
            Ok((parent, _)) => {
                mig_device.write(state::Device { mig: Some(mig), ..parent }.handle());
                Ok(())
            }
            // There is a place for an instance, but none in it.
            Err(Code::NOT_SUPPORTED) => Err(Code::NOT_FOUND),
            Err(code) => Err(code),
        }
    }))
}

/// Lists processes as NVML does: who brings too small a buffer is told how large it must be.
///
/// # Safety
/// `infos` is null, or good for as many structures as `count` says.
unsafe fn write_processes(
    device: Handle,
    call: &str,
    count: Option<&mut c_uint>,
    infos: *mut ProcessInfo,
) -> Code {
    let write = || {
        state::check_initialised()?;
        let count = count.ok_or(Code::INVALID_ARGUMENT)?;
        let room = usize::try_from(*count).unwrap_or(0);
        if room > 0 && infos.is_null() {
            return Err(Code::INVALID_ARGUMENT);
        }
        let list = process::list(&ask(device, call)?, Path::new("/proc"))?;
        *count = u32::try_from(list.len()).unwrap_or(u32::MAX);
        if list.len() > room {
            return Err(Code::INSUFFICIENT_SIZE);
        }
        if list.is_empty() {
            return Ok(());
        }
        // SAFETY: there is room for at least one, so it is not null, and good for `room`
        // structures, as the caller promises.
        let infos =
            unsafe { slice::from_raw_parts_mut(infos.cast::<MaybeUninit<ProcessInfo>>(), room) };
        for (to, info) in infos.iter_mut().zip(list) {
            to.write(info);
        }
        Ok(())
    };
    returned(write())
}

/// The functions that list processes; versions 2 and 3 fill the same structure.
macro_rules! process_functions {
    ($($name:ident: $call:literal),* $(,)?) => {$(
        /// # Safety
        /// `infos` is null, or good for as many structures as `count` says.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            device: Handle,
            count: Option<&mut c_uint>,
            infos: *mut ProcessInfo,
        ) -> Code {
            // SAFETY: the caller promises the same.
            unsafe { write_processes(device, $call, count, infos) }
        }
    )*};
}

process_functions! {
    nvmlDeviceGetComputeRunningProcesses_v2: "ComputeRunningProcesses",
    nvmlDeviceGetComputeRunningProcesses_v3: "ComputeRunningProcesses",
    nvmlDeviceGetGraphicsRunningProcesses_v2: "GraphicsRunningProcesses",
    nvmlDeviceGetGraphicsRunningProcesses_v3: "GraphicsRunningProcesses",
    nvmlDeviceGetMPSComputeRunningProcesses_v3: "MPSComputeRunningProcesses",
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    /// The library remembers what it is told, so all of this is one test.
    #[test]
    fn it_is_as_strict_as_the_real_one() {
        let mut number = MaybeUninit::new(77);
        let mut handle = MaybeUninit::new(0);
        let gpu = |lost_after: u32| {
            json!({
                "bus_id": "00000000:C1:00.0",
                "lost_after": lost_after,
                "calls": {
                    "Name": "X",
                    "Temperature": [41, {"error": "UNKNOWN"}],
                    "PowerUsage": 4_294_967_296_u64,
                    "MemoryInfo": {"total": 9, "reserved": 1, "used": 2},
                    "FanSpeed": {"fans": [30]},
                    "FanSpeedRPM": {"fans": [1200]},
                    "ComputeRunningProcesses": {"processes": [{"pid": 1}, {"pid": 2}]},
                    "GraphicsRunningProcesses": {"processes": []},
                },
                "mig": [{"calls": {"Name": "Y"}}],
            })
        };
        state::play(json!({"gpus": [gpu(1000), gpu(0)]}));

        // Nothing works before nvmlInit, which counts how often it was called.
        assert_eq!(nvmlDeviceGetCount_v2(Some(&mut number)), Code::UNINITIALIZED);
        assert_eq!(nvmlDeviceGetCount_v2(None), Code::UNINITIALIZED);
        assert_eq!(nvmlDeviceGetTemperature(0, 9, None), Code::UNINITIALIZED);
        assert_eq!(nvmlDeviceGetMemoryInfo_v2(0, None), Code::UNINITIALIZED);
        assert_eq!(nvmlShutdown(), Code::UNINITIALIZED);
        assert_eq!([nvmlInit_v2(), nvmlInit_v2(), nvmlShutdown()], [Code::SUCCESS; 3]);
        assert_eq!(nvmlDeviceGetCount_v2(None), Code::INVALID_ARGUMENT);
        assert_eq!(nvmlDeviceGetCount_v2(Some(&mut number)), Code::SUCCESS);
        // SAFETY: it was made with a value.
        assert_eq!(unsafe { number.assume_init_read() }, 2);

        // Handles.
        assert_eq!(nvmlDeviceGetHandleByIndex_v2(2, Some(&mut handle)), Code::INVALID_ARGUMENT);
        assert_eq!(nvmlDeviceGetHandleByIndex_v2(1, Some(&mut handle)), Code::GPU_IS_LOST);
        assert_eq!(nvmlDeviceGetHandleByIndex_v2(0, Some(&mut handle)), Code::SUCCESS);
        // SAFETY: it was made with a value.
        let device = unsafe { handle.assume_init_read() };
        for (bus_id, want) in [
            (c"0000:c1:00.0", Code::SUCCESS),
            (c"00000000:C1:00.0", Code::SUCCESS),
            (c"0000:c2:00.0", Code::NOT_FOUND),
            (c"c1", Code::INVALID_ARGUMENT),
        ] {
            // SAFETY: a string with an end.
            let got =
                unsafe { nvmlDeviceGetHandleByPciBusId_v2(bus_id.as_ptr(), Some(&mut handle)) };
            assert_eq!(got, want, "{bus_id:?}");
        }
        for odd in [0, 1, device + 2, device + 999, usize::MAX] {
            let got = nvmlDeviceGetTemperature(odd, 0, Some(&mut number));
            assert_eq!(got, Code::INVALID_ARGUMENT, "{odd:#x}");
        }
        let mig = nvmlDeviceGetMigDeviceHandleByIndex(device, 0, Some(&mut handle));
        assert_eq!(mig, Code::SUCCESS);
        let mig = nvmlDeviceGetMigDeviceHandleByIndex(device, 1, Some(&mut handle));
        assert_eq!(mig, Code::NOT_FOUND);

        // Arguments, and answers that change.
        assert_eq!(nvmlDeviceGetTemperature(device, 1, Some(&mut number)), Code::INVALID_ARGUMENT);
        assert_eq!(nvmlDeviceGetTemperature(device, 0, None), Code::INVALID_ARGUMENT);
        assert_eq!(nvmlDeviceGetTemperature(device, 0, Some(&mut number)), Code::SUCCESS);
        assert_eq!(nvmlDeviceGetTemperature(device, 0, Some(&mut number)), Code::UNKNOWN);
        assert_eq!(nvmlDeviceGetPowerUsage(device, Some(&mut number)), Code::UNKNOWN);
        assert_eq!(nvmlDeviceGetNumFans(device, Some(&mut number)), Code::NOT_SUPPORTED);
        assert_eq!(nvmlDeviceGetFanSpeed_v2(device, 1, Some(&mut number)), Code::INVALID_ARGUMENT);
        assert_eq!(nvmlDeviceGetFanSpeed_v2(device, 0, Some(&mut number)), Code::SUCCESS);

        // Structures with a version.
        let mut memory = Memory { version: 2, total: 0, reserved: 0, free: 0, used: 0 };
        let wrong = nvmlDeviceGetMemoryInfo_v2(device, Some(&mut memory));
        assert_eq!(wrong, Code::ARGUMENT_VERSION_MISMATCH);
        memory.version = 0x0200_0028;
        assert_eq!(nvmlDeviceGetMemoryInfo_v2(device, Some(&mut memory)), Code::SUCCESS);
        assert_eq!((memory.total, memory.free, memory.used), (9, 6, 2));
        let mut fan = FanSpeedInfo { version: 0, fan: 0, speed: 0 };
        let wrong = nvmlDeviceGetFanSpeedRPM(device, Some(&mut fan));
        assert_eq!(wrong, Code::ARGUMENT_VERSION_MISMATCH);
        fan.version = 0x0100_000c;
        assert_eq!(nvmlDeviceGetFanSpeedRPM(device, Some(&mut fan)), Code::SUCCESS);
        assert_eq!(fan.speed, 1200);

        // Buffers: the zero at the end needs room too.
        let mut buffer = [c_char::MAX; 4];
        for (length, want) in [(0, Code::INSUFFICIENT_SIZE), (1, Code::INSUFFICIENT_SIZE)] {
            // SAFETY: the buffer is longer than that.
            let got = unsafe { nvmlDeviceGetName(device, buffer.as_mut_ptr(), length) };
            assert_eq!(got, want, "{length}");
        }
        // SAFETY: null is allowed.
        let got = unsafe { nvmlDeviceGetName(device, ptr::null_mut(), 4) };
        assert_eq!(got, Code::INVALID_ARGUMENT);
        // SAFETY: the buffer is as long as that.
        let got = unsafe { nvmlDeviceGetName(device, buffer.as_mut_ptr(), 4) };
        assert_eq!((got, buffer), (Code::SUCCESS, [88, 0, c_char::MAX, c_char::MAX]));

        // Lists of processes.
        let none =
            ProcessInfo { pid: 0, used_gpu_memory: 0, gpu_instance_id: 0, compute_instance_id: 0 };
        let list = |count: Option<&mut c_uint>, infos: *mut ProcessInfo| {
            // SAFETY: the tests below say how much room there is.
            unsafe { nvmlDeviceGetComputeRunningProcesses_v3(device, count, infos) }
        };
        let mut infos = [none; 3];
        let mut count = 0;
        assert_eq!(list(None, ptr::null_mut()), Code::INVALID_ARGUMENT);
        assert_eq!(list(Some(&mut count), ptr::null_mut()), Code::INSUFFICIENT_SIZE);
        assert_eq!(count, 2);
        assert_eq!(list(Some(&mut count), ptr::null_mut()), Code::INVALID_ARGUMENT);
        count = 1;
        assert_eq!(list(Some(&mut count), infos.as_mut_ptr()), Code::INSUFFICIENT_SIZE);
        assert_eq!((count, infos), (2, [none; 3]));
        count = 3;
        assert_eq!(list(Some(&mut count), infos.as_mut_ptr()), Code::SUCCESS);
        assert_eq!((count, infos[1].pid, infos[2]), (2, 2, none));
        assert_eq!(infos[0].used_gpu_memory, layout::NOT_AVAILABLE);
        count = 0;
        // SAFETY: null is allowed for no room.
        let got = unsafe {
            nvmlDeviceGetGraphicsRunningProcesses_v3(device, Some(&mut count), ptr::null_mut())
        };
        assert_eq!((got, count), (Code::SUCCESS, 0));

        // As often as it was called, nvmlShutdown must be.
        assert_eq!(nvmlShutdown(), Code::SUCCESS);
        assert_eq!(nvmlDeviceGetTemperature(device, 0, None), Code::UNINITIALIZED);
    }
}
