//! The command line.

use std::{ffi::OsString, fmt, path::PathBuf, time::Duration};

/// How it is used.
pub const USAGE: &str = "usage: aictl-nvml [--library PATH] [--time MILLISECONDS] [ADDRESS...]";
/// How long to wait for the driver if nobody says.
const TIME: Duration = Duration::from_secs(10);
/// The longest time to wait.
const MOST_TIME: Duration = Duration::from_secs(60);

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Another library than the system's.
    pub library: Option<PathBuf>,
    /// How long to wait for the driver.
    pub time: Duration,
    /// The GPUs to ask, such as `0000:01:00.0`; all if it is empty.
    pub addresses: Vec<String>,
}

/// What is wrong with the command line.
#[derive(Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The option needs a value.
    NoValue(&'static str),
    /// There is no such option.
    Option(OsString),
    /// The library's path does not begin with a slash.
    Library(PathBuf),
    /// The time is no number of milliseconds from 1 to 60,000.
    Time(OsString),
    /// This is no PCI address.
    Address(OsString),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoValue(option) => write!(f, "{option} needs a value"),
            Self::Option(option) => write!(f, "there is no option {option:?}"),
            Self::Library(path) => write!(f, "{path:?} is no absolute path"),
            Self::Time(time) => {
                write!(f, "{time:?} is no time: from 1 to {} milliseconds", MOST_TIME.as_millis())
            }
            Self::Address(address) => {
                write!(f, "{address:?} is no PCI address, such as 0000:01:00.0")
            }
        }
    }
}

impl Arguments {
    /// Understands the command line, without the program's name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, Wrong> {
        let mut arguments = Self { library: None, time: TIME, addresses: Vec::new() };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("--library") => {
                    let path = PathBuf::from(words.next().ok_or(Wrong::NoValue("--library"))?);
                    if !path.is_absolute() {
                        return Err(Wrong::Library(path));
                    }
                    arguments.library = Some(path);
                }
                Some("--time") => {
                    arguments.time = time(words.next().ok_or(Wrong::NoValue("--time"))?)?;
                }
                Some(option) if option.starts_with('-') => return Err(Wrong::Option(word)),
                Some(address) if is_address(address) => {
                    arguments.addresses.push(address.to_owned());
                }
                _ => return Err(Wrong::Address(word)),
            }
        }
        Ok(arguments)
    }
}

fn time(word: OsString) -> Result<Duration, Wrong> {
    let time = word.to_str().and_then(|word| word.parse().ok()).map(Duration::from_millis);
    time.filter(|time| (Duration::from_millis(1)..=MOST_TIME).contains(time))
        .ok_or(Wrong::Time(word))
}

/// Whether `word` is an address as the kernel writes it: domain, bus, device and function.
fn is_address(word: &str) -> bool {
    let is_hex = |part: &&str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let Some((place, function)) = word.rsplit_once('.') else { return false };
    let parts: Vec<&str> = place.split(':').chain([function]).collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    matches!(lengths[..], [4..=8, 2, 2, 1]) && parts.iter().all(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, Wrong> {
        Arguments::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn each_word_has_its_meaning() {
        let all = Arguments { library: None, time: TIME, addresses: Vec::new() };
        assert_eq!(parse(&[]), Ok(all));
        let words = ["0000:01:00.0", "--time", "800", "--library", "/x/y.so", "00010000:c1:00.0"];
        let some = Arguments {
            library: Some("/x/y.so".into()),
            time: Duration::from_millis(800),
            addresses: vec!["0000:01:00.0".to_owned(), "00010000:c1:00.0".to_owned()],
        };
        assert_eq!(parse(&words), Ok(some));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (words, want) in [
            (&["--library"][..], Wrong::NoValue("--library")),
            (&["--time"], Wrong::NoValue("--time")),
            (&["--library", "x.so"], Wrong::Library("x.so".into())),
            (&["--time", "0"], Wrong::Time("0".into())),
            (&["--time", "60001"], Wrong::Time("60001".into())),
            (&["--time", "-1"], Wrong::Time("-1".into())),
            (&["--time", "1s"], Wrong::Time("1s".into())),
            (&["--verbose"], Wrong::Option("--verbose".into())),
            (&["-"], Wrong::Option("-".into())),
        ] {
            assert_eq!(parse(words), Err(want), "{words:?}");
        }
        for address in [
            "",
            "0",
            "01:00.0",
            "0000:01:00",
            "0000.01.00.0",
            "0000:01:00:0",
            "0000:01:00.0 ",
            "0000:01:00.00",
            "0000:1:00.0",
            "000g:01:00.0",
            "0000:01:00.0/../x",
            "000000000:01:00.0",
        ] {
            assert_eq!(parse(&[address]), Err(Wrong::Address(address.into())));
        }
    }
}
