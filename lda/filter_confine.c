#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lda/filter_wire.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "say here which system calls this machine has"
#endif

/* A sanitizer asks the kernel for more than a filter may. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define KILL BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#define PASS(call) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ ## call, 0, 1), ALLOW

/*
 * Memory, the socket that is already open, and the end. Written out rather
 * than made by libseccomp: the list is a dozen calls, and making it would
 * cost each filter more than running it.
 */
static const struct sock_filter program[] = {
	LOAD(arch),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
	KILL,
	LOAD(nr),
	PASS(read),
	PASS(write),
	PASS(writev),
	PASS(exit_group),
	PASS(exit),
	PASS(brk),
	PASS(munmap),
	PASS(mremap),
	PASS(madvise),
	PASS(futex),
	PASS(rt_sigreturn),
	PASS(rt_sigprocmask),	/* libsieve's setjmp; SIGKILL knows no mask */
	PASS(clock_gettime),
	PASS(getrandom),
	/* New memory, but never memory that can be executed. */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3),
	LOAD(args[2]),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0),
	ALLOW,
	KILL,
};

static void
limit(__rlimit_resource_t what, uint64_t value)
{
	struct rlimit r = { value, value };

	/* A lower one that is in force already serves as well. */
	(void)setrlimit(what, &r);
}

int
filter_confine(uint64_t memory, uint64_t cpu_ms)
{
	struct sock_fprog prog = {
		.len = sizeof(program) / sizeof(*program),
		.filter = (struct sock_filter *)(uintptr_t)program,
	};

	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_NPROC, 0);
	limit(RLIMIT_CPU, cpu_ms / 1000 + 1);
	if (SANITIZED)
		return 0;
	if (memory)
		limit(RLIMIT_AS, memory);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) < 0)
		return -1;
	return 0;
}
