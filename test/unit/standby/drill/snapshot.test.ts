import { expect, test } from 'vitest';
import { parseSnapshot } from '../../../../src/standby/drill/snapshot.ts';

const sources = ['/data', '/space=1'];
const whole = 'made it\nsnapshot: atomic\nmount: /data=/mnt/x/data\nmount: /space=1=/mnt/x/space\n';

test('each directory has its place', () => {
  expect(parseSnapshot(whole, sources)).toEqual(
    new Map([
      ['/data', '/mnt/x/data'],
      ['/space=1', '/mnt/x/space'],
    ]),
  );
});

test.each([
  ['', 'it does not say "snapshot: atomic"'],
  [whole.replace('atomic', 'torn'), 'it says "snapshot: torn", not "snapshot: atomic"'],
  [whole.replace('/space=1=', '/space='), 'it does not say where "/space=1" is mounted'],
  [whole.replace('=/mnt/x/data', '=mnt'), 'it says that "/data" is mounted at "mnt", which is no path'],
])('%j is no snapshot', (text, reason) => {
  expect(parseSnapshot(text, sources)).toBe(reason);
});
