//! The new machine code of the vDSO's time functions, and where they are.
//!
//! Pure: bytes of a vDSO and an offset in, a list of bytes to write out.

/// Bytes to write at an offset from the start of the vDSO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Patch {
    pub(super) at: usize,
    pub(super) code: Vec<u8>,
}

/// The patches that step the wall clock of whoever has this vDSO; the reason when there is no way.
pub(super) fn patches(vdso: &[u8], milliseconds: i64) -> Result<Vec<Patch>, String> {
    if cfg!(not(target_arch = "x86_64")) {
        return Err("the step is written in x86-64 machine code".into());
    }
    let mut all = Vec::new();
    for (name, code) in [
        ("__vdso_clock_gettime", clock_gettime(milliseconds)),
        ("__vdso_gettimeofday", gettimeofday(milliseconds)),
        ("__vdso_time", time(milliseconds)),
    ] {
        let (at, size) = symbol(vdso, name).ok_or_else(|| format!("this kernel's vDSO has no {name}"))?;
        if code.len() > size || at + size > vdso.len() {
            return Err(format!("this kernel's {name} is too small to be rewritten"));
        }
        all.push(Patch { at, code });
    }
    Ok(all)
}

/// Seconds and a fraction that is never negative.
fn split(milliseconds: i64) -> ([u8; 8], i32) {
    (milliseconds.div_euclid(1000).to_le_bytes(), milliseconds.rem_euclid(1000) as i32)
}

/// A function under construction: its short jumps to the final `ret` are filled in at the end.
#[derive(Default)]
struct Function {
    code: Vec<u8>,
    jumps: Vec<usize>,
}

const JZ: u8 = 0x74;
const JNZ: u8 = 0x75;
const JL: u8 = 0x7c;

impl Function {
    fn add(&mut self, bytes: impl IntoIterator<Item = u8>) -> &mut Self {
        self.code.extend(bytes);
        self
    }

    fn leave_if(&mut self, jump: u8) -> &mut Self {
        self.jumps.push(self.code.len() + 1);
        self.add([jump, 0])
    }

    fn ret(&mut self) -> Vec<u8> {
        let end = self.code.len();
        for at in &self.jumps {
            self.code[*at] = u8::try_from(end - at - 1).expect("these functions are shorter than 127 bytes");
        }
        self.add([0xc3]).code.clone()
    }
}

/// `int clock_gettime(edi clock, rsi timespec)`: asks the kernel, then steps the two wall clocks.
fn clock_gettime(milliseconds: i64) -> Vec<u8> {
    let (seconds, fraction) = split(milliseconds);
    let second = 1_000_000_000i32.to_le_bytes();
    let mut function = Function::default();
    function.add([0xb8, 0xe4, 0, 0, 0, 0x0f, 0x05]); // mov eax, 228; syscall
    function.add([0x85, 0xc0]).leave_if(JNZ); // test eax, eax
    function.add([0x85, 0xff, JZ, 5]); // test edi, edi (CLOCK_REALTIME); jz over the next two
    function.add([0x83, 0xff, 0x05]).leave_if(JNZ); // cmp edi, 5 (CLOCK_REALTIME_COARSE)
    function.add([0x48, 0xb9]).add(seconds); // mov rcx, seconds
    function.add([0x48, 0x01, 0x0e]); // add [rsi], rcx
    function.add([0x48, 0x81, 0x46, 0x08]).add((fraction * 1_000_000).to_le_bytes()); // add qword [rsi+8], ns
    function.add([0x48, 0x81, 0x7e, 0x08]).add(second).leave_if(JL); // cmp qword [rsi+8], 10^9
    function.add([0x48, 0x81, 0x6e, 0x08]).add(second); // sub qword [rsi+8], 10^9
    function.add([0x48, 0xff, 0x06]).ret() // inc qword [rsi]
}

/// `int gettimeofday(rdi timeval, rsi timezone)`.
fn gettimeofday(milliseconds: i64) -> Vec<u8> {
    let (seconds, fraction) = split(milliseconds);
    let second = 1_000_000i32.to_le_bytes();
    let mut function = Function::default();
    function.add([0xb8, 0x60, 0, 0, 0, 0x0f, 0x05]); // mov eax, 96; syscall
    function.add([0x85, 0xc0]).leave_if(JNZ); // test eax, eax
    function.add([0x48, 0x85, 0xff]).leave_if(JZ); // test rdi, rdi
    function.add([0x48, 0xb9]).add(seconds); // mov rcx, seconds
    function.add([0x48, 0x01, 0x0f]); // add [rdi], rcx
    function.add([0x48, 0x81, 0x47, 0x08]).add((fraction * 1000).to_le_bytes()); // add qword [rdi+8], us
    function.add([0x48, 0x81, 0x7f, 0x08]).add(second).leave_if(JL); // cmp qword [rdi+8], 10^6
    function.add([0x48, 0x81, 0x6f, 0x08]).add(second); // sub qword [rdi+8], 10^6
    function.add([0x48, 0xff, 0x07]).ret() // inc qword [rdi]
}

/// `time_t time(rdi time_t*)`.
fn time(milliseconds: i64) -> Vec<u8> {
    // What fits was checked by the caller: some 68 years either way.
    let seconds = (milliseconds.div_euclid(1000) as i32).to_le_bytes();
    let mut function = Function::default();
    function.add([0x57, 0x31, 0xff]); // push rdi; xor edi, edi
    function.add([0xb8, 0xc9, 0, 0, 0, 0x0f, 0x05]); // mov eax, 201; syscall
    function.add([0x5f]); // pop rdi
    function.add([0x48, 0x05]).add(seconds); // add rax, seconds
    function.add([0x48, 0x85, 0xff]).leave_if(JZ); // test rdi, rdi
    function.add([0x48, 0x89, 0x07]).ret() // mov [rdi], rax
}

/// Offset and size of a function of a 64-bit ELF image, read from its section headers.
fn symbol(elf: &[u8], wanted: &str) -> Option<(usize, usize)> {
    const DYNSYM: u64 = 11;
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let part = elf.get(at..at.checked_add(bytes)?)?;
        Some(part.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
    };
    if elf.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let (table, count) = (number(0x28, 8)? as usize, number(0x3c, 2)? as usize);
    let section = |i: usize| table + i * 64;
    let symbols = (0..count).map(section).find(|s| number(s + 4, 4) == Some(DYNSYM))?;
    let strings = section(number(symbols + 0x28, 4)? as usize);
    let strings = number(strings + 0x18, 8)? as usize;
    let (start, size) = (number(symbols + 0x18, 8)? as usize, number(symbols + 0x20, 8)? as usize);
    (0..size / 24).map(|i| start + i * 24).find_map(|entry| {
        let name = strings + number(entry, 4)? as usize;
        let text = elf.get(name..)?.split(|b| *b == 0).next()?;
        (text == wanted.as_bytes()).then_some(())?;
        Some((number(entry + 8, 8)? as usize, number(entry + 16, 8)? as usize))
    })
}

#[cfg(test)]
mod tests {
    use super::super::keeper::own_vdso;
    use super::*;

    #[test]
    fn jumps_lead_to_the_last_byte() {
        let mut function = Function::default();
        assert_eq!(
            function.leave_if(JZ).add([0x90, 0x90]).leave_if(JL).ret(),
            [0x74, 4, 0x90, 0x90, 0x7c, 0, 0xc3]
        );
    }

    #[test]
    fn a_negative_step_has_a_positive_fraction() {
        assert_eq!(split(-1500), ((-2i64).to_le_bytes(), 500));
        assert_eq!(split(86_400_000), (86_400i64.to_le_bytes(), 0));
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn this_kernel_can_be_stepped() {
        let (_, bytes) = own_vdso().unwrap();
        let patches = patches(&bytes, 1000).unwrap();
        assert_eq!(patches.len(), 3);
        assert!(symbol(&bytes, "__vdso_nothing").is_none());
        assert!(symbol(&bytes[..100], "__vdso_time").is_none());
    }
}
