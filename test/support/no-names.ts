// For fakes of a machine's networks: nobody asks for a name, and no network leads to another node.
import type { NameSource, Overlays } from '../../runtime/network/contract.ts';

export const noNames: NameSource = {
  setNames: () => undefined,
  changeNames: () => undefined,
  dropNames: () => undefined,
  namesOf: () => [],
};

export const noOverlays: Overlays = {
  offered: () => [],
  lives: () => ({}),
  wireguardPorts: () => ({}),
  pairs: () => Promise.resolve([]),
  apply: () => Promise.resolve(),
  drop: () => Promise.resolve(),
};
