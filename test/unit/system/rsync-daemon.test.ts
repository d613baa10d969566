import { expect, test } from 'vitest';
import { daemonConfiguration, moduleName, readDaemonLine } from '../../../src/system/rsync-daemon.ts';

test.each([
  ['rsync --server --daemon .', []],
  ['nice -n 10 rsync --server --daemon .', ['nice', '-n', '10']],
  [
    'nice -n 5 ionice -t -c 2 -n 7 rsync --server --daemon .',
    ['nice', '-n', '5', 'ionice', '-t', '-c', '2', '-n', '7'],
  ],
  ['ionice -t -c 3 rsync --server --daemon .', ['ionice', '-t', '-c', '3']],
])('%s is the line of an rsync of ours', (line, words) => {
  expect(readDaemonLine(line)).toEqual(words);
});

test.each([
  'rsync --server --daemon --config=/tmp/mine .',
  'rsync --server --daemon . ',
  'rsync --server --daemon .\nid',
  'rsync --server --sender -logDtpr . /etc/',
  'rsync --server -logDtpr . /var/lib/postgresql/',
  'nice -n 10 sh -c id rsync --server --daemon .',
  'nice -n 10; id; rsync --server --daemon .',
  'ionice -p 1 rsync --server --daemon .',
  '',
])('%j is none', (line) => {
  expect(readDaemonLine(line)).toBeUndefined();
});

test('a module has the name of the path that the other end knows, and reads only', () => {
  const text = daemonConfiguration([{ asked: '/data/main', path: '/disk/main', access: 'read' }]);
  expect(text).toContain(`[${moduleName('/data/main')}]\npath = /disk/main\nread only = yes\n`);
  expect(text).toContain('use chroot = no\n');
});

test('what is stored keeps its bytes: nothing is written in place, and no link is made', () => {
  const [refused = ''] =
    /^refuse options = .*$/m.exec(daemonConfiguration([{ asked: '/a', path: '/a', access: 'write' }])) ?? [];
  expect(refused.split(' ')).toEqual(expect.arrayContaining(['links', 'hard-links', 'inplace', 'append*']));
});

test.each(['/data/%USER%', '/data/a\nuid = 0', '/data\\', '/data ', 'data'])(
  '%j cannot be a module',
  (path) => {
    expect(() => daemonConfiguration([{ asked: path, path, access: 'read' }])).toThrow(
      'cannot be given the path',
    );
  },
);
