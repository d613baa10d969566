import { expect, test } from 'vitest';
import { capabilitiesOf } from '../../../../src/postgres/capabilities.ts';
import type { ControlFile } from '../../../../src/postgres/control-file.ts';
import { parseVersion } from '../../../../src/postgres/version.ts';
import {
  rewriteTablespaceMap,
  tablespaceFolder,
  tablespaceTargets,
} from '../../../../src/standby/host/tablespaces.ts';

const postgres13 = { tablespaceMapEscapesBackslash: false };
const postgres14 = { tablespaceMapEscapesBackslash: true };
const tablespaces = [
  { oid: '16400', name: 'fast', location: '/disk/fast' },
  { oid: '16401', name: 'slow', location: '/disk/slow' },
  { oid: '16402', name: 'inside', location: '/primary/main/ts' },
];

test('a tablespace goes to the path in [tablespaces] or to the same path, and one in pgdata stays there', () => {
  const mapping = new Map([['/disk/slow', '/here/slow']]);
  expect(
    tablespaceTargets(tablespaces, '/primary/main', '/standby/main', mapping).map(
      ({ name, target, isInsidePgdata }) => [name, target, isInsidePgdata],
    ),
  ).toEqual([
    ['fast', '/disk/fast', false],
    ['slow', '/here/slow', false],
    ['inside', '/standby/main/ts', true],
  ]);
});

test('tablespace_map contains the paths of this host, and unknown tablespaces keep theirs (bug of the original: a base backup with a tablespace crashes)', () => {
  const targets = tablespaceTargets(
    tablespaces,
    '/primary/main',
    '/standby/main',
    new Map([['/disk/fast', '/a b']]),
  );
  expect(
    rewriteTablespaceMap('16400 /disk/fast\n16401 /disk/slow\n16500 /disk/new\n', targets, postgres14),
  ).toBe('16400 /a b\n16401 /disk/slow\n16500 /disk/new\n');
});

test('a path with $& is written into tablespace_map unchanged', () => {
  const targets = tablespaceTargets(tablespaces, '/p', '/s', new Map([['/disk/fast', "/x$&'"]]));
  expect(rewriteTablespaceMap('16400 /disk/fast\n', targets, postgres14)).toBe("16400 /x$&'\n");
});

test('a path with a backslash or a line break gets into tablespace_map as the server of that release reads it', () => {
  const targets = tablespaceTargets(tablespaces, '/p', '/s', new Map([['/disk/fast', '/a\\b\nc']]));
  const map = '16400 /disk/fast\n16401 /disk/slow\n';
  expect(rewriteTablespaceMap(map, targets, postgres13)).toBe('16400 /a\\b\\\nc\n16401 /disk/slow\n');
  expect(rewriteTablespaceMap(map, targets, postgres14)).toBe('16400 /a\\\\b\\\nc\n16401 /disk/slow\n');
});

test.each(['\\\n', '\\\r', '\u2028', '\u2029', '\\\n16401 '])(
  "a line break in the primary's path (%j) does not end its line in tablespace_map",
  (text) => {
    const targets = tablespaceTargets(tablespaces, '/p', '/s', new Map([['/disk/fast', '/here']]));
    const map = `16400 /disk${text}fast\n16401 /disk/slow\n`;
    for (const syntax of [postgres13, postgres14])
      expect(rewriteTablespaceMap(map, targets, syntax)).toBe('16400 /here\n16401 /disk/slow\n');
  },
);

test.each([
  ['8.4', undefined],
  ['9.6', 'PG_9.6_202209061'],
  ['15', 'PG_15_202209061'],
])('the folder of PostgreSQL %s in a tablespace is %s', (version, folder) => {
  const control = { catalogVersion: 202209061 } as ControlFile;
  expect(tablespaceFolder(capabilitiesOf(parseVersion(version)), control)).toBe(folder);
});
