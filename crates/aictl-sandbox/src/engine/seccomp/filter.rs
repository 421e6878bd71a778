//! From the list of calls to a program in classic BPF (seccomp(2)).
//!
//! The kernel runs a new filter once for every call number that it knows, to cache the plain
//! verdicts, so that installing a filter costs its length times some hundred. The program is
//! therefore a binary search over ranges of numbers with one verdict, a few steps deep, rather
//! than a comparison for each call. The tests of arguments are written by `seccompiler`.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompRule, sock_filter,
};

use super::{Call, Case, Test, Verdict};

/// Numbers from here on belong to the x32 ABI, which is refused as a whole.
const X32_BIT: u32 = 0x4000_0000;
/// `AUDIT_ARCH_X86_64` of linux/audit.h.
const ARCH: u32 = 0xC000_003E;

/// Offsets in `struct seccomp_data`.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;

/// Classic BPF opcodes (linux/bpf_common.h).
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Call numbers from `first` up to the next range's, all with one verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u32,
    verdict: Verdict,
}

/// Splits all call numbers into ranges with one verdict each; the first begins at 0, and no two
/// neighbours have the same.
fn ranges(calls: impl Iterator<Item = Call>) -> Vec<Range> {
    let verdicts: BTreeMap<u32, Verdict> = calls.map(|call| (call.number, call.verdict)).collect();
    let mut ranges = vec![Range { first: 0, verdict: Verdict::Absent }];
    let mut add = |first, verdict| match ranges.last_mut() {
        Some(last) if last.verdict == verdict => {}
        Some(last) if last.first == first => last.verdict = verdict,
        _ => ranges.push(Range { first, verdict }),
    };
    let mut next = 0;
    for (number, verdict) in verdicts {
        if number > next {
            add(next, Verdict::Absent);
        }
        add(number, verdict);
        next = number + 1;
    }
    add(next, Verdict::Absent);
    add(X32_BIT, Verdict::Kill);
    ranges
}

/// The calls of the list that a process makes after it has taken on the first program: it takes on
/// Landlock's rules, and the last program.
const FINISHING: [libc::c_long; 2] = [libc::SYS_landlock_restrict_self, libc::SYS_seccomp];

fn is_finishing(number: u32) -> bool {
    FINISHING.contains(&number.into())
}

/// The program for all of a list but the [finishing](FINISHING) calls, which it lets through.
///
/// # Errors
/// As [`compile`].
pub fn first(calls: impl Iterator<Item = Call>) -> Result<BpfProgram, BackendError> {
    let why = "taking on the last layers";
    let open = FINISHING.into_iter().filter_map(|number| {
        let number = u32::try_from(number).ok()?;
        Some(Call { name: "", number, verdict: Verdict::Allow, why })
    });
    compile(calls.filter(|call| !is_finishing(call.number)).chain(open))
}

/// The program that gives the [finishing](FINISHING) calls the verdict of the list, and lets
/// everything else through: of several programs the kernel obeys the one that allows least.
///
/// # Errors
/// As [`compile`].
pub fn last(calls: impl Iterator<Item = Call>) -> Result<BpfProgram, BackendError> {
    let listed: BTreeMap<u32, Verdict> = calls.map(|call| (call.number, call.verdict)).collect();
    let mut program = vec![instruction(LOAD, 0, 0, OFFSET_NUMBER)];
    for number in FINISHING.into_iter().filter_map(|number| u32::try_from(number).ok()) {
        let body = leaf(listed.get(&number).copied().unwrap_or(Verdict::Absent))?;
        let over = u8::try_from(body.len()).unwrap_or(u8::MAX);
        program.push(instruction(JUMP_IF_EQUAL, 0, over, number));
        program.extend(body);
    }
    program.push(verdict_return(SeccompAction::Allow));
    Ok(program)
}

/// The filter program for a list of calls. All else is [`Verdict::Absent`], but for calls of
/// another architecture or of the x32 ABI, which kill.
///
/// # Errors
/// If a test of arguments is one that the kernel cannot make.
pub fn compile(calls: impl Iterator<Item = Call>) -> Result<BpfProgram, BackendError> {
    let mut program = vec![
        instruction(LOAD, 0, 0, OFFSET_ARCH),
        instruction(JUMP_IF_EQUAL, 1, 0, ARCH),
        verdict_return(SeccompAction::KillProcess),
        instruction(LOAD, 0, 0, OFFSET_NUMBER),
    ];
    search(&ranges(calls), &mut program)?;
    Ok(program)
}

/// Appends a binary search for the range that holds the loaded number.
fn search(ranges: &[Range], program: &mut BpfProgram) -> Result<(), BackendError> {
    if let [range] = ranges {
        program.extend(leaf(range.verdict)?);
        return Ok(());
    }
    let (below, above) = ranges.split_at(ranges.len() / 2);
    let first = above.first().map_or(0, |range| range.first);
    // A conditional jump reaches 255 instructions far, a plain one any distance: which one it is
    // shows when what is jumped over stands there.
    let at = program.len();
    program.push(instruction(JUMP_IF_AT_LEAST, 0, 0, first));
    search(below, program)?;
    let length = program.len() - at - 1;
    match u8::try_from(length) {
        Ok(distance) => program[at] = instruction(JUMP_IF_AT_LEAST, distance, 0, first),
        Err(_) => {
            let distance = u32::try_from(length).unwrap_or(u32::MAX);
            program[at] = instruction(JUMP_IF_AT_LEAST, 0, 1, first);
            program.insert(at + 1, instruction(JUMP, 0, 0, distance));
        }
    }
    search(above, program)
}

/// What to do for one range.
fn leaf(verdict: Verdict) -> Result<BpfProgram, BackendError> {
    let errno = |errno: i32| SeccompAction::Errno(errno.unsigned_abs());
    Ok(match verdict {
        Verdict::Allow => vec![verdict_return(SeccompAction::Allow)],
        Verdict::Deny => vec![verdict_return(errno(libc::EPERM))],
        Verdict::Absent => vec![verdict_return(errno(libc::ENOSYS))],
        Verdict::Kill => vec![verdict_return(SeccompAction::KillProcess)],
        Verdict::Args(cases, otherwise) => {
            let mut program = BpfProgram::new();
            if let Some((argument, values)) = one_of(cases) {
                // Values of one argument are compared in a row, which takes far fewer steps.
                program.push(instruction(LOAD, 0, 0, offset_low(argument)));
                for (index, value) in values.iter().enumerate() {
                    // To the end of the row, past the other errno.
                    let to_allow = u8::try_from(values.len() - index).unwrap_or(u8::MAX);
                    program.push(instruction(JUMP_IF_EQUAL, to_allow, 0, *value));
                }
                program.push(verdict_return(errno(otherwise)));
                program.push(verdict_return(SeccompAction::Allow));
                return Ok(program);
            }
            for case in cases {
                let conditions =
                    case.iter().map(condition).collect::<Result<Vec<_>, BackendError>>()?;
                // A rule that does not match jumps over the one instruction behind it.
                program.extend(BpfProgram::from(SeccompRule::new(conditions)?));
                program.push(verdict_return(SeccompAction::Allow));
            }
            program.push(verdict_return(errno(otherwise)));
            program
        }
    })
}

/// The argument and the values, if the cases only compare the same argument with one value each,
/// and there are few enough for one jump.
fn one_of(cases: &[Case]) -> Option<(u8, Vec<u32>)> {
    let single = |case: &Case| match case {
        [Test::Is(argument, value)] => Some((*argument, *value)),
        _ => None,
    };
    let (argument, _) = cases.first().and_then(single)?;
    let value = |case| single(case).filter(|(other, _)| *other == argument).map(|(_, v)| v);
    let values = cases.iter().map(value).collect::<Option<Vec<u32>>>()?;
    (values.len() < 255).then_some((argument, values))
}

/// Where the lower half of an argument stands in `struct seccomp_data`, on a little-endian machine.
fn offset_low(argument: u8) -> u32 {
    16 + 8 * u32::from(argument)
}

fn condition(test: &Test) -> Result<SeccompCondition, BackendError> {
    match *test {
        Test::Is(argument, value) => {
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value.into())
        }
        Test::IsNot(argument, value) => {
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value.into())
        }
        Test::Masked(argument, mask, value) => SeccompCondition::new(
            argument,
            SeccompCmpArgLen::Qword,
            SeccompCmpOp::MaskedEq(mask),
            value,
        ),
    }
}

fn instruction(code: u16, if_true: u8, if_false: u8, k: u32) -> sock_filter {
    sock_filter { code, jt: if_true, jf: if_false, k }
}

fn verdict_return(action: SeccompAction) -> sock_filter {
    instruction(RETURN, 0, 0, action.into())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Memory, calls},
        *,
    };

    const ALLOW: u32 = 0x7fff_0000;
    const KILL: u32 = 0x8000_0000;
    const ERRNO: u32 = 0x0005_0000;

    /// Runs a program as the kernel would; also returns the number of steps.
    fn run(program: &[sock_filter], arch: u32, number: u32, args: [u64; 6]) -> (u32, usize) {
        let mut data = Vec::new();
        data.extend(number.to_le_bytes());
        data.extend(arch.to_le_bytes());
        data.extend(0u64.to_le_bytes());
        args.iter().for_each(|arg| data.extend(arg.to_le_bytes()));
        let (mut at, mut acc, mut steps) = (0usize, 0u32, 0);
        loop {
            let i = &program[at];
            at += 1;
            steps += 1;
            let jump = |yes: bool| usize::from(if yes { i.jt } else { i.jf });
            match i.code {
                LOAD => {
                    let from = i.k as usize;
                    acc = u32::from_le_bytes(data[from..from + 4].try_into().unwrap());
                }
                JUMP => at += i.k as usize,
                JUMP_IF_EQUAL => at += jump(acc == i.k),
                JUMP_IF_AT_LEAST => at += jump(acc >= i.k),
                0x25 => at += jump(acc > i.k),
                0x54 => acc &= i.k,
                RETURN => return (i.k, steps),
                code => panic!("opcode {code:#x}"),
            }
        }
    }

    fn expected(verdict: Verdict) -> u32 {
        match verdict {
            Verdict::Allow => ALLOW,
            Verdict::Deny => ERRNO | libc::EPERM as u32,
            Verdict::Absent => ERRNO | libc::ENOSYS as u32,
            Verdict::Kill => KILL,
            Verdict::Args(_, errno) => ERRNO | errno as u32,
        }
    }

    #[test]
    fn every_number_gets_the_verdict_of_the_list() {
        let program = compile(calls(Memory::Watched)).unwrap();
        // Arguments that match none of the cases; fcntl(2) refuses only what it names.
        let odd = |number| match number {
            72 => [1031; 6],
            _ => [0x7777_7777_7777_7777; 6],
        };
        for number in (0..2048).chain([X32_BIT - 1, X32_BIT, X32_BIT + 1, u32::MAX]) {
            let verdict = match calls(Memory::Watched).find(|call| call.number == number) {
                Some(call) => call.verdict,
                None if number >= X32_BIT => Verdict::Kill,
                None => Verdict::Absent,
            };
            let (action, steps) = run(&program, ARCH, number, odd(number));
            assert_eq!(action, expected(verdict), "number {number}");
            assert!(steps < 160, "number {number}: {steps} steps");
        }
    }

    #[test]
    fn the_two_programs_together_are_the_list() {
        // The kernel takes the action with the smallest number, as signed (seccomp(2)).
        let strictest = |actions: [u32; 2]| actions.into_iter().min_by_key(|a| a.cast_signed());
        for memory in [Memory::Counted, Memory::Watched] {
            let whole = compile(calls(memory)).unwrap();
            let (first, last) = (first(calls(memory)).unwrap(), last(calls(memory)).unwrap());
            let mut open = Vec::new();
            for number in (0..2048).chain([X32_BIT - 1, X32_BIT, X32_BIT + 317, u32::MAX]) {
                for args in [[0; 6], [1; 6], [0x7777_7777_7777_7777; 6]] {
                    let action = |program| run(program, ARCH, number, args).0;
                    let both = strictest([action(&first), action(&last)]);
                    assert_eq!(both, Some(action(&whole)), "number {number}");
                    if action(&first) != action(&whole) && args == [0; 6] {
                        open.push(number);
                    }
                }
            }
            assert_eq!(open, [317, 446]);
            assert!(last.len() < 10);
        }
    }

    #[test]
    fn another_architecture_is_killed_whatever_it_calls() {
        let program = compile(calls(Memory::Watched)).unwrap();
        for arch in [0x4000_0003, 0xC000_00B7, 0] {
            for number in [0, 1, 4, 59, 102] {
                assert_eq!(run(&program, arch, number, [0; 6]).0, KILL, "{arch:#x} {number}");
            }
        }
    }

    #[test]
    fn arguments_decide_where_the_list_says_so() {
        let program = compile(calls(Memory::Watched)).unwrap();
        let number = |name| calls(Memory::Watched).find(|call| call.name == name).unwrap().number;
        let thread = 0x003d_0f00;
        let table: [(&str, [u64; 6], u32); 37] = [
            ("mmap", [0, 4096, 3, 0x22, u64::MAX, 0], ALLOW),
            ("mmap", [0, 4096, 3, 0x02, 3, 0], ALLOW),
            ("mmap", [0, 4096, 3, 0x01, 3, 0], ALLOW),
            ("mmap", [0, 4096, 3, 0x21, u64::MAX, 0], ERRNO | 1),
            ("mmap", [0, 4096, 3, 0x23, u64::MAX, 0], ERRNO | 1),
            ("mmap", [0, 4096, 3, 0x4_0022, u64::MAX, 0], ERRNO | 1),
            ("fcntl", [0, 1, 0, 0, 0, 0], ALLOW),
            ("fcntl", [0, 1031, 1 << 20, 0, 0, 0], ERRNO | 1),
            ("fcntl", [0, 1 << 32 | 1031, 1 << 20, 0, 0, 0], ERRNO | 1),
            ("socket", [1, 1, 0, 0, 0, 0], ALLOW),
            ("socket", [2, 1, 0, 0, 0, 0], ERRNO | 1),
            ("socket", [10, 1, 0, 0, 0, 0], ERRNO | 1),
            // The kernel takes the lower half of the domain, and so does the filter.
            ("socket", [1 << 32 | 2, 1, 0, 0, 0, 0], ERRNO | 1),
            ("socketpair", [1, 1, 0, 0, 0, 0], ALLOW),
            ("socketpair", [1, 0x8_0805, 0, 0, 0, 0], ALLOW),
            ("socketpair", [1, 2, 0, 0, 0, 0], ERRNO | 1),
            ("socket", [1, 0x8_0002, 0, 0, 0, 0], ERRNO | 1),
            ("connect", [3, 0, 110, 0, 0, 0], ERRNO | 1),
            ("preadv2", [3, 0, 1, 0, 0, 0], ALLOW),
            ("preadv2", [3, 0, 1, 0, 0, 8], ERRNO | 1),
            ("clone", [thread, 0, 0, 0, 0, 0], ALLOW),
            ("clone", [17, 0, 0, 0, 0, 0], ALLOW),
            ("clone", [0x1000_0000 | 17, 0, 0, 0, 0, 0], ERRNO | 1),
            ("clone", [0x0002_0000, 0, 0, 0, 0, 0], ERRNO | 1),
            ("clone", [0x4000_0000, 0, 0, 0, 0, 0], ERRNO | 1),
            ("clone3", [0, 88, 0, 0, 0, 0], ERRNO | 38),
            ("ioctl", [0, 0x5401, 0, 0, 0, 0], ALLOW),
            ("ioctl", [0, 0x5412, 0, 0, 0, 0], ERRNO | 25),
            ("ioctl", [0, 1 << 32 | 0x5412, 0, 0, 0, 0], ERRNO | 25),
            ("prctl", [15, 0, 0, 0, 0, 0], ALLOW),
            ("prctl", [22, 2, 0, 0, 0, 0], ERRNO | 1),
            ("personality", [0xffff_ffff, 0, 0, 0, 0, 0], ALLOW),
            ("personality", [0x0004_0000, 0, 0, 0, 0, 0], ERRNO | 1),
            ("prlimit64", [0, 7, 0, 0, 0, 0], ALLOW),
            ("prlimit64", [1, 7, 0, 0, 0, 0], ERRNO | 1),
            ("mknodat", [3, 0, 0o010_644, 0, 0, 0], ALLOW),
            ("mknodat", [3, 0, 0o020_644, 0x103, 0, 0], ERRNO | 1),
        ];
        for (name, args, action) in table {
            assert_eq!(run(&program, ARCH, number(name), args).0, action, "{name} {args:x?}");
        }
    }

    #[test]
    fn where_a_control_group_counts_it_memory_may_be_shared() {
        let program = compile(calls(Memory::Counted)).unwrap();
        for (flags, action) in [(0x21, ALLOW), (0x22, ALLOW), (0x4_0021, ERRNO | 1)] {
            assert_eq!(run(&program, ARCH, 9, [0, 4096, 3, flags, 0, 0]).0, action, "{flags:#x}");
        }
    }

    #[test]
    fn the_program_fits_the_kernel() {
        let program = compile(calls(Memory::Watched)).unwrap();
        assert!(program.len() < 4096, "{} instructions", program.len());
    }
}
