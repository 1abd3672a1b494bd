// SPDX-License-Identifier: MIT OR GPL-2.0
//
// Counts the system calls of one process: calls, errors and CPU time by number.
//
// User space runs `watch` once; from then on the first child of that process
// that completes an exec is the watched one, with all its threads, until the
// programs are detached. Both are identified by the kernel's own process ids,
// so their pid namespaces do not matter.

#include <stddef.h>

/* The few types that the helpers' declarations need; no kernel headers. */
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

#include <bpf/bpf_helpers.h>

/* From the kernel's interface (linux/bpf.h). */
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_TASK_STORAGE 29
#define BPF_F_NO_PREALLOC 1
#define BPF_F_MMAPABLE 1024
#define BPF_LOCAL_STORAGE_GET_F_CREATE 1

#define MAX_SYSCALLS 512 /* numbers 0 .. 511 */
#define MAX_ERRNO 4095 /* a return value of -4095 .. -1 is an error */

/* The kernel's own, cut to the fields we read; field offsets are relocated at load. */
struct task_struct {
	struct task_struct *real_parent;
	int tgid;
} __attribute__((preserve_access_index));

/* What happened under one system call number. */
struct count {
	__u64 calls;
	__u64 errors;
	__u64 time_ns; /* on a CPU, from entry to exit */
};

/*
 * The system call that a thread is in; start_ns is zero outside of one. While
 * the thread is off its CPU, left_ns is the time when it left. Its return adds
 * the time off the CPU to start_ns.
 */
struct call {
	__u64 start_ns;
	__u64 left_ns;
	__u32 number;
};

/*
 * Per CPU and without atomics: the kernel runs programs on these tracepoints
 * with preemption disabled, and no interrupt makes a system call.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_SYSCALLS);
	__type(key, __u32);
	__type(value, struct count);
} counts SEC(".maps");

/* The calls of all numbers; a cache line of its own for each CPU. */
struct total {
	__u64 calls;
} __attribute__((aligned(64)));

/*
 * Indexed by CPU number; user space sets the size. User space reads it often,
 * for a series over time, from its own memory: without the system call that a
 * per-CPU map needs.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct total);
} total SEC(".maps");

/* Kept with the thread, and freed with it by the kernel: it cannot fill up. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __s32);
	__type(value, struct call);
} current_call SEC(".maps");

volatile __u32 parent; /* the process whose child is to be watched */
volatile __u32 watched; /* that child; zero until it has called exec */

/* Run by user space: the caller's next child to exec becomes the watched one. */
SEC("syscall")
int watch(void *ctx __attribute__((unused)))
{
	parent = bpf_get_current_pid_tgid() >> 32;
	watched = 0;
	return 0;
}

SEC("tp_btf/sched_process_exec")
int on_exec(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];

	if (!parent || watched)
		return 0;
	if ((__u32)task->real_parent->tgid == parent)
		watched = task->tgid;
	return 0;
}

/*
 * Calls are counted on entry, because exit and exit_group never return. A call
 * that a seccomp filter refuses has no entry, and is not counted.
 */
SEC("tp_btf/sys_enter")
int on_sys_enter(__u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 number = ctx[1], cpu;
	struct count *count;
	struct total *all;
	struct call *call;

	if ((__u32)task->tgid != watched)
		return 0;
	count = bpf_map_lookup_elem(&counts, &number);
	if (!count)
		return 0;
	count->calls++;
	cpu = bpf_get_smp_processor_id();
	all = bpf_map_lookup_elem(&total, &cpu);
	if (all)
		all->calls++;
	call = bpf_task_storage_get(&current_call, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!call)
		return 0;
	call->number = number;
	call->left_ns = 0;
	call->start_ns = bpf_ktime_get_ns();
	return 0;
}

/* The call that a thread of the watched process is in, if any. */
static __always_inline struct call *call_of(struct task_struct *task)
{
	struct call *call;

	if (!watched || (__u32)task->tgid != watched)
		return NULL;
	call = bpf_task_storage_get(&current_call, task, NULL, 0);
	return call && call->start_ns ? call : NULL;
}

SEC("tp_btf/sched_switch")
int on_switch(__u64 *ctx)
{
	struct task_struct *prev = (void *)ctx[1];
	struct task_struct *next = (void *)ctx[2];
	struct call *call;

	call = call_of(prev);
	if (call)
		call->left_ns = bpf_ktime_get_ns();
	call = call_of(next);
	if (call && call->left_ns) {
		call->start_ns += bpf_ktime_get_ns() - call->left_ns;
		call->left_ns = 0;
	}
	return 0;
}

SEC("tp_btf/sys_exit")
int on_sys_exit(__u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__s64 ret = ctx[1];
	struct count *count;
	struct call *call;

	if ((__u32)task->tgid != watched)
		return 0;
	call = bpf_task_storage_get(&current_call, task, NULL, 0);
	if (!call || !call->start_ns)
		return 0; /* a new thread returns from a clone that it never entered */
	count = bpf_map_lookup_elem(&counts, &call->number);
	if (!count)
		return 0;
	count->time_ns += bpf_ktime_get_ns() - call->start_ns;
	if (ret < 0 && ret >= -MAX_ERRNO)
		count->errors++;
	call->start_ns = 0;
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
