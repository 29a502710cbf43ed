// What dockerd does when nothing is set.
import type { RegistrySettings } from './contract.ts';

export const DEFAULT_SETTINGS: RegistrySettings = {
  mirrors: [],
  insecure: [],
  downloadsMax: 3,
  uploadsMax: 5,
  attemptsMax: 5,
};
