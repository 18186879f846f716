//! Where the controller's memory comes from: one stretch of address space in large pages.
//!
//! Reading a large tree of playbooks touches thousands of pages for the first time, and a quarter of its time went to the
//! kernel for that. Nothing is taken until it is used; where the kernel has no large pages, nothing changes.

#![expect(unsafe_code, reason = "the C library's allocator is spoken to")]

/// Address space to ask for at once.
const STRETCH: usize = 64 << 20;

/// Asks for it. Called first, while there is one thread.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn in_large_pages() {
    const LARGE_PAGE: usize = 2 << 20;
    // SAFETY: `mallopt` takes numbers and cannot fail harmfully; the pieces are freed once each, and nothing else runs.
    // The range given to `madvise` lies between the heap's ends, and the advice changes no content.
    unsafe {
        // the heap grows by this much, and stays; what is larger than 4 MiB still has pages of its own
        libc::mallopt(libc::M_MMAP_THRESHOLD, 4 << 20);
        libc::mallopt(libc::M_TOP_PAD, STRETCH as libc::c_int);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * STRETCH as libc::c_int);
        // more than the heap has now, so that it grows
        // (looked at, or the compiler takes it for unused and leaves it out)
        let piece = std::hint::black_box(libc::malloc(1 << 20));
        let end = libc::sbrk(0) as usize;
        if !piece.is_null() && end > STRETCH {
            let start = (end - STRETCH).next_multiple_of(LARGE_PAGE);
            libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE);
        }
        libc::free(piece);
    }
}

/// Elsewhere the allocator does as it likes.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn in_large_pages() {}
