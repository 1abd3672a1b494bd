package quicguard

import "sync"

// tasks counts what is under way. Other than a sync.WaitGroup, it may be waited
// for while more is started.
type tasks struct {
	mu   sync.Mutex
	n    int
	zero chan struct{} // closed at zero; nil where nobody waits
}

func (t *tasks) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
}

func (t *tasks) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n--
	if t.n == 0 && t.zero != nil {
		close(t.zero)
		t.zero = nil
	}
}

func (t *tasks) running() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}

// wait returns at the first moment when nothing is under way.
func (t *tasks) wait() {
	t.mu.Lock()
	if t.n == 0 {
		t.mu.Unlock()
		return
	}
	if t.zero == nil {
		t.zero = make(chan struct{})
	}
	zero := t.zero
	t.mu.Unlock()
	<-zero
}
