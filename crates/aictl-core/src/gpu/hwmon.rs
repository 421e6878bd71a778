//! The sensors of a device (Documentation/hwmon/sysfs-interface.rst).

use std::path::{Path, PathBuf};

use super::value;
use crate::kernel_file::{self, PAGE};

/// More than a device has of them.
const MAX_HWMON: usize = 16;

/// The sensors of one chip.
#[derive(Debug)]
pub(super) struct Hwmon(PathBuf);

impl Hwmon {
    /// The sensors that go by `name` below a device. There may be others, for parts of it.
    pub(super) fn find(device: &Path, name: &str) -> Option<Self> {
        let directory = device.join("hwmon");
        let entries = kernel_file::names(&directory, MAX_HWMON);
        let mut chips = entries.iter().map(|entry| directory.join(entry));
        let is_it = |chip: &PathBuf| {
            kernel_file::text(&chip.join("name"), PAGE).is_some_and(|text| text == name)
        };
        chips.find(is_it).map(Self)
    }

    /// The number in one of its files.
    pub(super) fn number(&self, file: &str) -> Option<u64> {
        value::number(&self.0.join(file))
    }

    /// Degrees Celsius.
    pub(super) fn celsius(&self, file: &str) -> Option<f64> {
        value::celsius(&self.0.join(file))
    }

    /// Watts.
    pub(super) fn watts(&self, file: &str) -> Option<f64> {
        value::watts(self.number(file)?)
    }

    /// A limit in watts; drivers say 0 where there is none.
    pub(super) fn limit(&self, file: &str) -> Option<f64> {
        self.watts(file).filter(|watts| *watts > 0.0)
    }

    /// A clock in MHz, from a file in Hz.
    pub(super) fn megahertz(&self, file: &str) -> Option<u32> {
        value::megahertz(self.number(file)? / 1_000_000)
    }

    /// The speed of the first fan in turns a minute.
    pub(super) fn turns(&self) -> Option<u32> {
        value::turns(self.number("fan1_input")?)
    }

    /// The speed of the first fan in percent of the highest.
    pub(super) fn fan_percent(&self) -> Option<u32> {
        let highest = self.number("pwm1_max").filter(|highest| *highest > 0)?;
        let percent = self.number("pwm1")?.checked_mul(100)?.checked_div(highest)?;
        u32::try_from(percent).ok().filter(|percent| *percent <= 100)
    }
}
