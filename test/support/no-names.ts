// For fakes of a machine's networks: nobody asks for a name.
import type { NameSource } from '../../runtime/network/contract.ts';

export const noNames: NameSource = {
  setNames: () => undefined,
  changeNames: () => undefined,
  dropNames: () => undefined,
  namesOf: () => [],
};
