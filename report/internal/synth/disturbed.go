package synth

import (
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// Faults in a synthetic trial, as the hooks of its records.

// Losing makes sequential requests time out. After a second of the attack with seven in
// ten, four bins have nine in ten, which is just inside the band. Then one has fewer,
// then all have nine in ten again. All of this is shifted by later, in seconds.
func Losing(later int) func(string, *record.Request) {
	lost := map[int]int{10: 3, 11: 1, 12: 1, 13: 1, 14: 1, 15: 2}
	return func(role string, q *record.Request) {
		n, ok := lost[q.Seq/10-later]
		if !ok && q.Seq >= 160 {
			n = 1
		}
		if role == results.RoleSequential && q.Seq%10 >= 10-n {
			q.Outcome = record.Timeout
		}
	}
}

// NotAllAdmitted makes every fourth connection a refused one, and every fifth one that
// never completed its handshake.
func NotAllAdmitted() func(*record.Line) {
	n := 0
	return func(line *record.Line) {
		if line.Connection == nil {
			return
		}
		if n++; n%4 == 0 {
			line.Connection.End = record.RefusedByQuota
		} else if n%5 == 0 {
			line.Connection.HandshakeNS = 0
		}
	}
}

// Late delays the end of requests that start in the second from atNS on by a wait.
func Late(atNS, waitNS int64) func(string, *record.Request) {
	return func(role string, q *record.Request) {
		if role == results.RoleSequential && q.StartNS >= atNS && q.StartNS < atNS+Second {
			q.EndNS += waitNS
		}
	}
}

// SlowerInAttack makes responses slower during the attack of a run by shortBlocks.
func SlowerInAttack(first func(string, *record.Request)) func(string, *record.Request) {
	return func(role string, q *record.Request) {
		first(role, q)
		if role == results.RoleSequential && q.StartNS >= 10*Second && q.StartNS < 12*Second {
			q.EndNS *= 2
		}
	}
}
