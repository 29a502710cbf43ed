// Volumes as the Engine API shows them.
import type { VolumeInfo } from '../../runtime/contract.ts';
import type { Volume } from '../types/volume.ts';
import { goTime } from './time.ts';

export const volumeJson = (volume: VolumeInfo): Volume => ({
  Name: volume.name,
  Driver: volume.driver,
  Mountpoint: volume.mountpoint,
  CreatedAt: goTime(volume.createdAtMs),
  Labels: { ...volume.labels },
  Options: Object.keys(volume.options).length > 0 ? { ...volume.options } : null,
  Scope: 'local',
});
