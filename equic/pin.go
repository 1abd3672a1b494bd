//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// pin is a folder of a BPF file system that keeps the maps and links of a gateway
// (Options.Pin). The process that owns the gateway holds a lock on the folder.
type pin struct {
	dir    string
	folder *os.File
	made   bool      // it did not exist
	owned  bool      // locked
	state  *ebpf.Map // nil until a gateway is in the folder
	now    pinState
	lapsed bool // the gateway has had no owner for so long that its counts are out of date
}

// The files of the folder. The BPF file system allows no dot in a name.
const (
	stateFile  = "state"
	stateBytes = 16 << 10 // MaxPorts ports in JSON

	stateText    = 0 // index of the JSON
	stateOwned   = 1 // and of the time until which the gateway is owned (CLOCK_MONOTONIC)
	stateEntries = 2

	mapPrefix  = "map-"
	linkPrefix = "link-"
)

// openPin opens the folder, and makes it if it does not exist.
func openPin(dir string) (*pin, error) {
	parent := filepath.Dir(dir)
	var of unix.Statfs_t
	if err := unix.Statfs(parent, &of); err != nil {
		return nil, &fs.PathError{Op: "statfs", Path: parent, Err: err}
	}
	if uint32(of.Type) != unix.BPF_FS_MAGIC {
		return nil, fmt.Errorf("%s is in no BPF file system: give a folder below /sys/fs/bpf, where `mount -t bpf bpf /sys/fs/bpf` "+
			"mounts one", dir)
	}
	made := os.Mkdir(dir, 0o700)
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return nil, made
	}
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	return &pin{dir: dir, folder: folder, made: made == nil}, nil
}

// refuseForeign refuses a folder that another user may change: its files decide what passes.
func (p *pin) refuseForeign() error {
	var is unix.Stat_t
	if err := unix.Fstat(int(p.folder.Fd()), &is); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if is.Uid != 0 && int(is.Uid) != os.Geteuid() || is.Mode&0o022 != 0 {
		return fmt.Errorf("%s belongs to user %d, with permissions %o, so others may change it: remove it, or give another "+
			"folder", p.dir, is.Uid, is.Mode&0o777)
	}
	return nil
}

// read reads the state of the gateway in the folder, if there is one.
func (p *pin) read() error {
	m, err := ebpf.LoadPinnedMap(filepath.Join(p.dir, stateFile), nil)
	if p.state != nil {
		_ = p.state.Close() // it was only read
		p.state = nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the state in %s: %w", p.dir, err)
	}
	p.state = m // closed with p
	if p.now, err = readState(m); err == nil {
		p.lapsed, err = isLapsed(m)
	}
	if err != nil {
		return p.refuse("its state cannot be read: %w", err)
	}
	return nil
}

// The time within which a predecessor must give up the gateway, and how often to look.
const (
	handOverTime = 10 * time.Second
	handOverLook = 2 * time.Millisecond
)

// lock makes this process the owner of the folder. If another process is, takeOver must
// make it give the gateway up.
func (p *pin) lock(takeOver func() error) error {
	free, err := p.tryLock()
	if free || err != nil {
		return err
	}
	if takeOver == nil {
		return fmt.Errorf("%w: another process owns the one in %s: stop it, or ask it to hand over", ErrPinned, p.dir)
	}
	if err := takeOver(); err != nil {
		return fmt.Errorf("take over the gateway in %s: %w", p.dir, err)
	}
	for end := time.Now().Add(handOverTime); time.Now().Before(end); time.Sleep(handOverLook) {
		if free, err := p.tryLock(); free || err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: the process that owns the one in %s has not given it up within %v", ErrPinned, p.dir, handOverTime)
}

func (p *pin) tryLock() (free bool, err error) {
	err = unix.Flock(int(p.folder.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	p.owned = err == nil
	return p.owned, os.NewSyscallError("flock "+p.dir, err)
}

// errAnother means that the gateway in the folder is not the one that was there before it
// was locked.
var errAnother = errors.New("the pinned gateway has changed meanwhile")

// acquire locks the folder, and reads the settings that are now in force. A predecessor has to
// give up the gateway only after every check of these options that needs no lock.
func (p *pin) acquire(o *Options) error {
	if err := p.checkLists(o); err != nil {
		return err
	}
	if err := p.lock(o.TakeOver); err != nil {
		return err
	}
	before, key := p.state != nil, p.now.HashKey
	if !p.isThere() {
		return errAnother
	}
	if err := p.read(); err != nil {
		return err
	}
	if before != (p.state != nil) || p.now.HashKey != key {
		return errAnother
	}
	return nil
}

// isThere reports whether the folder that is locked is still the one that others open.
func (p *pin) isThere() bool {
	is, err := p.folder.Stat()
	there, statErr := os.Stat(p.dir)
	return err == nil && statErr == nil && os.SameFile(is, there)
}

// checkLists refuses prefixes for which the lists of the gateway have no room. The old feeds stay
// on the lists until the new ones are there, so there must be room for both.
func (p *pin) checkLists(o *Options) error {
	maps, err := p.maps()
	defer func() {
		for _, m := range maps {
			_ = m.Close()
		}
	}()
	if err != nil || len(maps) == 0 {
		return err
	}
	for name, list := range map[string][]netip.Prefix{
		gatewayMapAllowed: slices.Concat(o.Allowed, o.AllowedFeed),
		gatewayMapDenied:  slices.Concat(o.Denied, o.DeniedFeed),
	} {
		all := make(map[prefixKey]bool)
		var key prefixKey
		var value origin
		there := maps[name].Iterate()
		for there.Next(&key, &value) {
			if value != 0 { // else it is allIPv4, which is not listed
				all[key] = true
			}
		}
		for _, prefix := range list {
			if prefix, err := ListedPrefix(prefix); err == nil {
				all[keyOf(prefix)] = true
			}
		}
		if n := len(all); there.Err() == nil && n > o.MaxPrefixes {
			return fmt.Errorf("%w: %s would have %d prefixes (while a feed is replaced, those of both), and MaxPrefixes is %d",
				ErrListFull, name, n, o.MaxPrefixes)
		}
	}
	return nil
}

// maps returns the maps of the gateway in the folder, by name; none if there is no gateway.
// The caller closes them.
func (p *pin) maps() (map[string]*ebpf.Map, error) {
	all := make(map[string]*ebpf.Map)
	if p == nil || p.state == nil {
		return all, nil
	}
	for name := range (&gatewayMaps{}).mapsToPin() {
		m, err := ebpf.LoadPinnedMap(filepath.Join(p.dir, mapPrefix+name), nil)
		if err != nil {
			return all, p.refuse("its map %s: %w", name, err)
		}
		all[name] = m
	}
	return all, nil
}

// mapsToPin returns the maps that a successor takes over, by their names in bpf/maps.h. The
// events stay with the process that reads them.
func (m *gatewayMaps) mapsToPin() map[string]*ebpf.Map {
	return map[string]*ebpf.Map{
		gatewayMapAllowed: m.Allowed, gatewayMapDenied: m.Denied, gatewayMapApplications: m.Applications,
		gatewayMapClients: m.Clients, gatewayMapNetworks: m.Networks, gatewayMapRates: m.Rates,
		gatewayMapPackets: m.Packets, gatewayMapEventsLost: m.EventsLost,
	}
}

// fill puts a new gateway into the folder. It first removes what is left of one that was
// killed while it started.
func (p *pin) fill(l *loaded) (err error) {
	if p.state != nil {
		return nil
	}
	if err := p.removeAll(); err != nil {
		return err
	}
	for name, m := range l.objs.mapsToPin() {
		if err := m.Pin(filepath.Join(p.dir, mapPrefix+name)); err != nil {
			return fmt.Errorf("pin the map %s: %w", name, err)
		}
	}
	p.state, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "equic_state", Type: ebpf.Array, KeySize: 4, ValueSize: stateBytes, MaxEntries: stateEntries,
	})
	return err
}

// linkFile returns the path of the link of an interface; empty if nothing is pinned.
func (o *Options) linkFile(name string) string {
	if o.Pin == "" {
		return ""
	}
	return filepath.Join(o.Pin, linkPrefix+strings.NewReplacer("%", "%25", ".", "%2e").Replace(name))
}

// dropLinks detaches the program from interfaces that the options no longer name.
func (p *pin) dropLinks(o *Options) error {
	return p.removeFiles(func(name string) bool {
		is := func(iface string) bool { return filepath.Base(o.linkFile(iface)) == name }
		return strings.HasPrefix(name, linkPrefix) && !slices.ContainsFunc(o.Interfaces, is)
	})
}

// removeAll removes everything in the folder, the links first: without them the program is no
// longer attached.
func (p *pin) removeAll() error {
	return errors.Join(
		p.removeFiles(func(name string) bool { return strings.HasPrefix(name, linkPrefix) }),
		p.removeFiles(func(name string) bool { return name == stateFile || strings.HasPrefix(name, mapPrefix) }),
	)
}

// abandon removes a gateway that could not begin.
func (p *pin) abandon() error {
	err := p.removeAll()
	if p.state != nil {
		err = errors.Join(err, p.state.Close())
		p.state = nil
	}
	return err
}

func (p *pin) removeFiles(ours func(name string) bool) error {
	all, err := os.ReadDir(p.dir)
	for _, f := range all {
		if !ours(f.Name()) {
			continue
		}
		path := filepath.Join(p.dir, f.Name())
		if strings.HasPrefix(f.Name(), linkPrefix) {
			detachPinned(path)
		}
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// detachPinned detaches the program of a pinned link at once. Without its file the kernel
// would do so a little later.
func detachPinned(path string) {
	l, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		return
	}
	_ = l.Detach() // fails if the interface is gone
	_ = l.Close()
}

// close gives the folder up and keeps its content. An empty folder is removed.
func (p *pin) close() error {
	if p == nil {
		return nil
	}
	if (p.owned || p.made) && p.isThere() {
		_ = os.Remove(p.dir) // fails unless it is empty
	}
	err := p.folder.Close()
	if p.state != nil {
		err = errors.Join(err, p.state.Close())
	}
	return err
}

// Unpin removes the gateway that is pinned in a folder (Options.Pin), and detaches its
// program. If a process owns it, the error is ErrPinned.
func Unpin(dir string) (err error) {
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("remove a pinned gateway: %w", err)
	}
	p, err := openPin(filepath.Clean(dir))
	if err != nil {
		return fmt.Errorf("remove a pinned gateway: %w", err)
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if err = p.lock(nil); err == nil && !p.isThere() {
		err = errAnother
	}
	if err != nil {
		return fmt.Errorf("remove a pinned gateway: %w", err)
	}
	return p.removeAll()
}
