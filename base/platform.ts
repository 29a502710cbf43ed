// Which of an index's images runs here: os and architecture must be equal; of the variants the newest that this machine
// can run. Pure. Source of the fall-backs: containerd's platform matching.
import { fail } from './errors.ts';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
  readonly osVersion?: string;
}

const ARCHITECTURES: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
  armhf: 'arm',
  armel: 'arm',
  i386: '386',
};

const DEFAULT_VARIANT: Readonly<Record<string, string>> = { arm64: 'v8', arm: 'v7' };

/** `linux/arm64`, `linux/arm/v7`, `arm64`, `linux`. What is left out is this machine's. */
export function parsePlatform(text: string, own: Platform): Platform {
  const parts = text.toLowerCase().split('/');
  if (parts.length > 3 || !parts.every((part) => /^[a-z0-9_.-]+$/.test(part))) {
    fail('invalid', `"${text}": unknown operating system or architecture: invalid argument`);
  }
  const [first = '', second, third = ''] = parts;
  if (second !== undefined) return normal({ os: first, architecture: second, variant: third });
  return first === 'linux' ? own : normal({ os: own.os, architecture: first, variant: '' });
}

function normal({ os, architecture, variant }: Platform): Platform {
  return { os, architecture: ARCHITECTURES[architecture] ?? architecture, variant };
}

export const platformText = ({ os, architecture, variant }: Platform): string =>
  [os, architecture, ...(variant === '' ? [] : [variant])].join('/');

/** The best fit first; what does not fit is left out. */
export function fitting<T extends { readonly platform: Platform | undefined }>(
  entries: readonly T[],
  wanted: Platform,
): T[] {
  const rank = (entry: T): number => (entry.platform ? fitness(entry.platform, wanted) : -1);
  return entries.filter((entry) => rank(entry) >= 0).sort((a, b) => rank(b) - rank(a));
}

/** -1: does not run; otherwise the higher the better. */
function fitness(offered: Platform, wanted: Platform): number {
  const { os, architecture } = normal(offered);
  if (os !== wanted.os || architecture !== wanted.architecture) return -1;
  const most = variantOf(wanted);
  const its = variantOf(offered);
  if (its === most) return 100;
  const [a, b] = [versionOf(its), versionOf(most)];
  return a !== undefined && b !== undefined && a < b ? a : -1;
}

const variantOf = ({ architecture, variant }: Platform): string =>
  variant === '' ? (DEFAULT_VARIANT[ARCHITECTURES[architecture] ?? architecture] ?? 'v1') : variant;

function versionOf(variant: string): number | undefined {
  const match = /^v(\d{1,2})$/.exec(variant);
  return match ? Number(match[1]) : undefined;
}

/** A single image without an index: does it run on what was asked for? */
export const fits = (offered: Platform, wanted: Platform): boolean => fitness(offered, wanted) >= 0;
