import { strict as assert } from 'node:assert';
import { refuseOldKernel } from '../../runtime/native/native-runtime.ts';

describe('the kernel the native runtime needs', () => {
  for (const version of ['5.12.0', '5.15.0-91-generic', '6.1.0-18-amd64', '10.0']) {
    it(`takes ${version}`, () => refuseOldKernel(version));
  }
  for (const version of ['5.11.9', '4.19.0-27-amd64', '5.4.0-150-generic']) {
    it(`refuses ${version} in a sentence`, () =>
      assert.throws(() => refuseOldKernel(version), {
        code: 'unavailable',
        message: /need Linux 5\.12 or newer; this is/,
      }));
  }
});
