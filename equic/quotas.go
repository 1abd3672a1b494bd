package equic

import (
	"fmt"
	"net/netip"
	"slices"
)

// PrefixQuota is the quota of each client in a prefix.
type PrefixQuota struct {
	Prefix netip.Prefix
	Quota  int
}

func validateQuotas(o *Options) error {
	seen := make(map[netip.Prefix]bool)
	for _, q := range o.Quotas {
		p, err := ListedPrefix(q.Prefix)
		if err != nil {
			return fmt.Errorf("quotas of prefixes: %w", err)
		}
		most := o.IPv6Prefix
		if p.Addr().Is4() {
			most = o.IPv4Prefix
		}
		switch err := validQuota(q.Quota); {
		case err != nil:
			return fmt.Errorf("%s: %w", p, err)
		case p.Bits() > most:
			return fmt.Errorf("the quota prefix %s is longer than a client's: give at most %d bits", p, most)
		case seen[p]:
			return fmt.Errorf("%s has two quotas: give one", p)
		}
		seen[p] = true
	}
	return nil
}

// quotas are the quotas of prefixes, the longest prefix first.
type quotas []PrefixQuota

func newQuotas(given []PrefixQuota) quotas {
	all := make(quotas, len(given))
	for i, q := range given {
		p, _ := ListedPrefix(q.Prefix) // validated
		all[i] = PrefixQuota{p, q.Quota}
	}
	slices.SortStableFunc(all, func(a, b PrefixQuota) int { return b.Prefix.Bits() - a.Prefix.Bits() })
	return all
}

// of returns the quota of a client, or zero if it has none of its own.
func (all quotas) of(k *clientKey) uint32 {
	if len(all) == 0 {
		return 0
	}
	addr := netip.AddrFrom16(k.Prefix).Unmap()
	for _, q := range all {
		if q.Prefix.Contains(addr) {
			return uint32(q.Quota) // validated
		}
	}
	return 0
}

// quota returns the quota in force for a client.
func (t *table) quota(number uint8, k *clientKey) uint32 {
	if own := t.quotas.of(k); own != 0 && number != 0 { // number is 0 while the client is not known
		return own
	}
	return t.limits[number].quota.Load()
}
