//! The memory that the operating system says the process holds, and how the allocator is made to give back what is freed.

/// The process' resident memory in bytes; None where the operating system does not say (it does on Linux).
#[must_use]
#[allow(clippy::disallowed_methods, reason = "no file of the lake")]
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Sets glibc's allocator to keep little of what is freed. To be called before threads are started.
///
/// By default it opens up to eight arenas a core, each with holes of its own, and takes ever larger buffers from them. Two
/// arenas, and every large buffer mapped by itself, made the peak of a backlog a quarter smaller (docs/performance.md).
/// What one fetch of a few partitions brings is below that size: mapped by itself, each of its pages would be cleared by the
/// kernel anew with every fetch. Other allocators are left as they are.
pub fn keep_allocator_lean() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt takes two integers and only sets the allocator's parameters; glibc ignores what it does not know.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 6 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 16 << 20);
        libc::mallopt(libc::M_TOP_PAD, 1 << 20);
    }
}

/// Gives free pages back to the operating system. Takes milliseconds.
pub(crate) fn give_back_free_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim may be called at any time by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn the_resident_memory_grows_with_what_is_touched() {
        let before = super::resident_bytes().expect("Linux says");
        let touched = std::hint::black_box(vec![1_u8; 64 << 20]);
        let grown = super::resident_bytes().expect("Linux says") - before;
        assert!(grown > 48 << 20, "{grown} bytes for {}", touched.len());
    }
}
