// A kernel that has no WireGuard, as whoever drives it says.
export const noWireguard = {
  open: () => Promise.resolve(false),
  carry: () => Promise.resolve(undefined),
  settle: () => Promise.resolve(),
  reason: () => undefined,
  counts: () => Promise.resolve(new Map()),
  differences: () => Promise.resolve([]),
  audit: () => Promise.resolve({ repairs: [], changed: [] }),
  end: () => Promise.resolve(),
  sweep: () => Promise.resolve(),
};
