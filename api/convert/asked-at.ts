// What the same request to create a container means at its version of the API: defaults that changed, and the platform.
import { fail } from '../../base/errors.ts';
import { fits, parsePlatform, platformText } from '../../base/platform.ts';
import type { ContainerConfig } from '../../runtime/container/contract.ts';
import type { Images } from '../../runtime/image/contract.ts';
import { isBefore } from '../versions.ts';

/** Before 1.25 the client removed a container itself; before 1.40 any other might share its memory. */
export function askedAt(version: string, config: ContainerConfig): ContainerConfig {
  return {
    ...config,
    autoRemove: config.autoRemove && !isBefore(version, '1.25'),
    ipcMode: config.ipcMode === '' && isBefore(version, '1.40') ? 'shareable' : config.ipcMode,
  };
}

const NOWHERE = { os: 'linux', architecture: '', variant: '' };

/** An image of another platform counts as one that is not here: the client then pulls the right one. */
export function requirePlatform(asked: string, reference: string, images: Pick<Images, 'get'>, machine: string): void {
  if (asked === '') return;
  const wanted = parsePlatform(asked, parsePlatform(`linux/${machine}`, NOWHERE));
  const { os, architecture, variant } = images.get(reference);
  const offered = { os, architecture, variant };
  if (fits(offered, wanted)) return;
  const actual = `wanted ${platformText(wanted)}, actual: ${platformText(offered)}`;
  fail('not-found', `image with reference ${reference} was found but does not match the specified platform: ${actual}`);
}
