package validity

import "fmt"

// floodLoss is the share of a flood's frames that may be lost on their way.
const floodLoss = 0.01

// floodArrived compares the frames that floods sent with those that came to the server:
// a kernel can drop frames that it has counted as sent.
func floodArrived(e *evidence) (bool, string) {
	var sent uint64
	for _, n := range e.clients() {
		sent += n.frames
	}
	switch {
	case !e.experiment.Floods():
		return true, "not asked for"
	case e.trial.FloodFrames == nil:
		return true, fmt.Sprintf("%d frames were sent; nothing counts those that arrive here", sent)
	}
	arrived := *e.trial.FloodFrames
	apart := max(sent, arrived) - min(sent, arrived)
	facts := fmt.Sprintf("%d frames were sent, %d came to the server (allowed: 1 %% apart)", sent, arrived)
	if lost := e.queueLost(); lost > 0 {
		facts += fmt.Sprintf("; %d frames were lost in the queue of the server's interface", lost)
	}
	return float64(apart) <= floodLoss*float64(sent), facts
}

// serverQueue is the number of frames that the queue of the server's interface holds.
const serverQueue = 256

// burst returns words about a flood that sent more at once than that queue holds; empty if none did.
func (e *evidence) burst() string {
	most := 0
	for _, n := range e.clients() {
		most = max(most, n.mostAtOnce)
	}
	if most <= serverQueue {
		return ""
	}
	return fmt.Sprintf("; that queue holds %d, and a flood sent up to %d at once", serverQueue, most)
}

// queueLost returns how many frames the queue of the server's interface had no room for,
// as far as that is known.
func (e *evidence) queueLost() uint64 {
	if e.trial.QueueLost == nil {
		return 0
	}
	return *e.trial.QueueLost
}
