import { describe, expect, test } from 'vitest';
import { archiveRequests, archiveWork } from '../../../src/verbs/archive-requests.ts';
import { readRequest } from '../../../src/verbs/read-request.ts';
import { verbs } from '../../../src/verbs/verbs.ts';

const lane = {
  cluster: '7000000000000000001',
  lane: 'host.0123456789ab',
  run: '0123456789abcdef',
  mode: 'store',
} as const;
const name = '000000010000000000000001';

const read = (line: string, roles = false) => readRequest(line, archiveRequests, roles);

describe('a request', () => {
  test.each<[string, { readonly request: string; readonly script: string }]>([
    ['a greeting', archiveWork('hello', { archivedir: '/a b' }, { ...lane, names: [] })],
    [
      'a commit',
      archiveWork(
        'commit',
        { archivedir: "/it's" },
        { ...lane, marks: ["1 0/A300B2F8 it's", ''], files: [{ name, size: 16 }] },
      ),
    ],
    [
      'a commit of frames',
      archiveWork(
        'commit-frames',
        { archivedir: "/it's" },
        { ...lane, marks: [], files: [{ name, size: 16, digest: 'a1'.repeat(32) }] },
      ),
    ],
    ['taking segments', archiveWork('take-segments', { archivedir: "/it's" }, lane)],
    ['a sentinel', archiveWork('sentinel', { archivedir: '/ä' }, {})],
    [
      'planting',
      archiveWork(
        'plant',
        { archivedir: '/a' },
        {
          cluster: lane.cluster,
          standby: 'a $(b)',
          primaryPgdata: '/p\\',
          nonce: lane.run,
          permission: 'if-empty',
        },
      ),
    ],
  ])('%s is read as it was written, and its script is the same at both ends', (_, { request, script }) => {
    expect(request).toMatch(/^[\w .,:%-]+$/);
    const parsed = read(request);
    if (parsed.kind !== 'script') throw new Error(JSON.stringify(parsed));
    const { archive, ...values } = parsed.values;
    expect(archiveWork(parsed.name as 'hello', { archivedir: String(archive) }, values as never).script).toBe(
      script,
    );
  });

  test.each([
    '',
    'sh',
    'cat /etc/passwd',
    'sentinel',
    'sentinel relative',
    'sentinel %2Fa more',
    'sentinel  %2Fa',
    'sentinel %2Fa\n',
    'sentinel %2Fa%0Aid',
    'sentinel %2Fa%00',
    'sentinel %2F%FF',
    'sentinel /a;id',
    'toString %2Fa',
    '__proto__ %2Fa',
    `has-file %2Fa ../${name}`,
    `has-file %2Fa ${name};id`,
    'has-file %2Fa passwd',
    `send-segments %2Fa etc ${name}`,
    `send-segments %2Fa archive ../../etc/passwd`,
    `send-segments %2Fa archive ${name},/etc/passwd`,
    `hello %2Fa 1 .. 0123456789abcdef store -`,
    `hello %2Fa 1 a/../.. 0123456789abcdef store -`,
    `hello %2Fa 1 -rf 0123456789abcdef store -`,
    `hello %2Fa 1;id a 0123456789abcdef store -`,
    `hello %2Fa 1 a $(id)0123456789 store -`,
    `hello %2Fa 1 a 0123456789abcdef other -`,
    `commit %2Fa 1 a 0123456789abcdef store - ${name}`,
    `commit %2Fa 1 a 0123456789abcdef store - ${name}:1;id`,
    `commit %2Fa 1 a 0123456789abcdef store ' ${name}:1`,
    `commit-frames %2Fa 1 a 0123456789abcdef store - ${name}:1`,
    `commit-frames %2Fa 1 a 0123456789abcdef store - ${name}:1:${'a'.repeat(63)}`,
    `commit-frames %2Fa 1 a 0123456789abcdef store - ${name}:1:${'A'.repeat(64)}`,
    `commit-frames %2Fa 1 a 0123456789abcdef store - ${name}:1:${'a'.repeat(64)};id`,
    `commit-frames %2Fa 1 a 0123456789abcdef store - 00000002.history:1:${'a'.repeat(64)}`,
    `take-segments %2Fa 1 .. 0123456789abcdef store`,
    `take-segments %2Fa 1 a $(id)0123456789 store`,
    `take-segments %2Fa 1 a 0123456789abcdef store ${name}`,
    'x'.repeat(300_000),
  ])('%j is refused', (line) => {
    expect(read(line)).toMatchObject({ kind: 'refused' });
  });

  test('that changes a role needs a key for that', () => {
    const changing = Object.entries(verbs).flatMap(([verb, { changesRole }]) => (changesRole ? [verb] : []));
    expect(changing.sort()).toEqual([
      'become-standby',
      'follow',
      'prepare-switchover',
      'resume-primary',
      'stop-primary',
    ]);
    const line = 'stop-primary 1 hostb 7000000000000000001 0123456789abcdef';
    expect(read(line)).toMatchObject({ kind: 'refused', needsRoles: true });
    expect(read(line, true)).toMatchObject({ kind: 'verb' });
    expect(read('status')).toMatchObject({ kind: 'verb' });
  });

  test('of any other text is refused, or its script contains nothing of it outside of quotes', () => {
    const lines = [
      archiveWork('hello', { archivedir: '/a b' }, { ...lane, names: [name] }).request,
      archiveWork('commit', { archivedir: '/a' }, { ...lane, marks: ['1 0/1 h'], files: [{ name, size: 1 }] })
        .request,
      archiveWork(
        'commit-frames',
        { archivedir: '/a' },
        { ...lane, marks: [], files: [{ name, size: 1, digest: 'a1'.repeat(32) }] },
      ).request,
      archiveWork('send-segments', { archivedir: '/a' }, { where: 'archive', names: [name, name] }).request,
    ];
    const parts = ["'", '"', ';', '\n', '$(', '`', '..', '/', ',', ' ', '-', '%0A', '%27', '|', '\0', 'é'];
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    for (let round = 0; round < 20_000; round++) {
      let line = lines[random(lines.length)] ?? '';
      for (let change = 0; change <= random(3); change++) {
        const at = random(line.length + 1);
        line = line.slice(0, at) + (parts[random(parts.length)] ?? '') + line.slice(at + random(3));
      }
      const parsed = read(line);
      if (parsed.kind !== 'script') continue;
      for (const [key, value] of Object.entries(parsed.values)) {
        const plain = key === 'archive' || key === 'marks' ? [] : [value].flat();
        for (const each of plain)
          expect(typeof each === 'object' ? JSON.stringify(each) : each).toMatch(/^[\w.",:{}-]*$/);
      }
      expect(String(parsed.values['archive'])).toMatch(/^\/[^\n\0]*$/);
    }
  });
});
