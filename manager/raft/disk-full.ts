// A disk without space is the one failure that passes: nothing was written that would count, and it may be tried again.
import { errnoOf } from '../../base/errors.ts';

const FULL = ['ENOSPC', 'EDQUOT'];

export const isDiskFull = (error: unknown): boolean => FULL.includes(errnoOf(error) ?? '');
