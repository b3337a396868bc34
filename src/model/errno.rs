//! Errors of system calls by name, kernel-internal ones too.
//!
//! The numbers are those of include/uapi/asm-generic/errno.h, which x86_64 and aarch64 share,
//! and of include/linux/errno.h, which user space should never see but a trace does.

use std::borrow::Cow;

/// Names by number, sorted; 41 and 58 are not used, 520 neither.
#[rustfmt::skip]
const NAMES: &[(i32, &str)] = &[
    (1, "EPERM"), (2, "ENOENT"), (3, "ESRCH"), (4, "EINTR"), (5, "EIO"), (6, "ENXIO"),
    (7, "E2BIG"), (8, "ENOEXEC"), (9, "EBADF"), (10, "ECHILD"), (11, "EAGAIN"), (12, "ENOMEM"),
    (13, "EACCES"), (14, "EFAULT"), (15, "ENOTBLK"), (16, "EBUSY"), (17, "EEXIST"), (18, "EXDEV"),
    (19, "ENODEV"), (20, "ENOTDIR"), (21, "EISDIR"), (22, "EINVAL"), (23, "ENFILE"),
    (24, "EMFILE"), (25, "ENOTTY"), (26, "ETXTBSY"), (27, "EFBIG"), (28, "ENOSPC"),
    (29, "ESPIPE"), (30, "EROFS"), (31, "EMLINK"), (32, "EPIPE"), (33, "EDOM"), (34, "ERANGE"),
    (35, "EDEADLK"), (36, "ENAMETOOLONG"), (37, "ENOLCK"), (38, "ENOSYS"), (39, "ENOTEMPTY"),
    (40, "ELOOP"), (42, "ENOMSG"), (43, "EIDRM"), (44, "ECHRNG"), (45, "EL2NSYNC"),
    (46, "EL3HLT"), (47, "EL3RST"), (48, "ELNRNG"), (49, "EUNATCH"), (50, "ENOCSI"),
    (51, "EL2HLT"), (52, "EBADE"), (53, "EBADR"), (54, "EXFULL"), (55, "ENOANO"), (56, "EBADRQC"),
    (57, "EBADSLT"), (59, "EBFONT"), (60, "ENOSTR"), (61, "ENODATA"), (62, "ETIME"), (63, "ENOSR"),
    (64, "ENONET"), (65, "ENOPKG"), (66, "EREMOTE"), (67, "ENOLINK"), (68, "EADV"), (69, "ESRMNT"),
    (70, "ECOMM"), (71, "EPROTO"), (72, "EMULTIHOP"), (73, "EDOTDOT"), (74, "EBADMSG"),
    (75, "EOVERFLOW"), (76, "ENOTUNIQ"), (77, "EBADFD"), (78, "EREMCHG"), (79, "ELIBACC"),
    (80, "ELIBBAD"), (81, "ELIBSCN"), (82, "ELIBMAX"), (83, "ELIBEXEC"), (84, "EILSEQ"),
    (85, "ERESTART"), (86, "ESTRPIPE"), (87, "EUSERS"), (88, "ENOTSOCK"), (89, "EDESTADDRREQ"),
    (90, "EMSGSIZE"), (91, "EPROTOTYPE"), (92, "ENOPROTOOPT"), (93, "EPROTONOSUPPORT"),
    (94, "ESOCKTNOSUPPORT"), (95, "EOPNOTSUPP"), (96, "EPFNOSUPPORT"), (97, "EAFNOSUPPORT"),
    (98, "EADDRINUSE"), (99, "EADDRNOTAVAIL"), (100, "ENETDOWN"), (101, "ENETUNREACH"),
    (102, "ENETRESET"), (103, "ECONNABORTED"), (104, "ECONNRESET"), (105, "ENOBUFS"),
    (106, "EISCONN"), (107, "ENOTCONN"), (108, "ESHUTDOWN"), (109, "ETOOMANYREFS"),
    (110, "ETIMEDOUT"), (111, "ECONNREFUSED"), (112, "EHOSTDOWN"), (113, "EHOSTUNREACH"),
    (114, "EALREADY"), (115, "EINPROGRESS"), (116, "ESTALE"), (117, "EUCLEAN"), (118, "ENOTNAM"),
    (119, "ENAVAIL"), (120, "EISNAM"), (121, "EREMOTEIO"), (122, "EDQUOT"), (123, "ENOMEDIUM"),
    (124, "EMEDIUMTYPE"), (125, "ECANCELED"), (126, "ENOKEY"), (127, "EKEYEXPIRED"),
    (128, "EKEYREVOKED"), (129, "EKEYREJECTED"), (130, "EOWNERDEAD"), (131, "ENOTRECOVERABLE"),
    (132, "ERFKILL"), (133, "EHWPOISON"),
    (512, "ERESTARTSYS"), (513, "ERESTARTNOINTR"), (514, "ERESTARTNOHAND"), (515, "ENOIOCTLCMD"),
    (516, "ERESTART_RESTARTBLOCK"), (517, "EPROBE_DEFER"), (518, "EOPENSTALE"), (519, "ENOPARAM"),
    (521, "EBADHANDLE"), (522, "ENOTSYNC"), (523, "EBADCOOKIE"), (524, "ENOTSUPP"),
    (525, "ETOOSMALL"), (526, "ESERVERFAULT"), (527, "EBADTYPE"), (528, "EJUKEBOX"),
    (529, "EIOCBQUEUED"), (530, "ERECALLCONFLICT"), (531, "ENOGRACE"),
];

/// Second names of some numbers.
const ALIASES: [(i32, &str); 3] = [(11, "EWOULDBLOCK"), (35, "EDEADLOCK"), (95, "ENOTSUP")];

/// The name of a positive errno; one without a name is `E` and the number, `E999`.
pub fn errno_name(errno: i32) -> Cow<'static, str> {
    match NAMES.binary_search_by_key(&errno, |(n, _)| *n).ok().and_then(|at| NAMES.get(at)) {
        Some((_, name)) => Cow::Borrowed(name),
        None => Cow::Owned(format!("E{errno}")),
    }
}

/// The errno of a name, whatever its case; what [`errno_name`] makes of nameless ones too.
pub fn errno_number(name: &str) -> Option<i32> {
    let known =
        NAMES.iter().chain(&ALIASES).find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(n, _)| *n);
    known.or_else(|| {
        let digits = name.strip_prefix(['E', 'e'])?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?.filter(|n| *n > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
        for (n, name) in NAMES {
            assert_eq!(errno_name(*n), *name);
            assert_eq!(errno_number(name), Some(*n));
            assert_eq!(errno_number(&name.to_lowercase()), Some(*n));
        }
    }

    #[test]
    fn names_are_those_of_the_c_library() {
        for (n, name) in NAMES.iter().filter(|(n, _)| *n < 512) {
            let theirs = format!("{:?}", nix::errno::Errno::from_raw(*n));
            assert_eq!(theirs, *name);
        }
        assert_eq!(errno_number("EWOULDBLOCK"), Some(libc::EWOULDBLOCK));
        assert_eq!(errno_number("ENOTSUP"), Some(libc::ENOTSUP));
        assert_eq!(errno_number("EDEADLOCK"), Some(libc::EDEADLOCK));
    }

    #[test]
    fn nameless_ones_are_numbers() {
        for n in [41, 58, 520, 999] {
            assert_eq!(errno_name(n), format!("E{n}"));
            assert_eq!(errno_number(&format!("e{n}")), Some(n));
        }
        for text in ["", "E", "ENOSUCH", "E-1", "E0", "999999999999"] {
            assert_eq!(errno_number(text), None, "{text}");
        }
    }
}
