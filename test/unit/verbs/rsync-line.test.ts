import { describe, expect, test } from 'vitest';
import { readRsyncLine } from '../../../src/verbs/rsync-line.ts';

const inbox = '.incoming/host.0123456789ab/0123456789abcdef/';
/** As rsync 3.2.7 writes it for us. */
const line = `rsync --server -vtIze.LsfxCIvu --timeout=60 --partial . ${inbox}`;

describe('the command line of a receiving rsync', () => {
  test('is read with its inbox', () => {
    expect(readRsyncLine(line)).toEqual({
      kind: 'receive',
      lane: 'host.0123456789ab',
      run: '0123456789abcdef',
      inbox,
      words: line.split(' ').slice(1),
    });
  });

  test.each([
    ['a sender', line.replace('--server', '--server --sender')],
    ['links', line.replace('-vtIz', '-vltIz')],
    ['directories', line.replace('-vtIz', '-vrtIz')],
    ['modes', line.replace('-vtIz', '-vptIz')],
    ['devices', line.replace('-vtIz', '-vDtIz')],
    ['paths of the client', line.replace('-vtIz', '-vRtIz')],
    ['options that come later', line.replace('-vtIz', '-svtIz')],
    ['deletion', line.replace('--partial', '--delete')],
    ['deletion at the sender', line.replace('--partial', '--remove-source-files')],
    ['a daemon', line.replace('--partial', '--daemon')],
    ['a configuration', line.replace('--partial', '--config=/etc/passwd')],
    ['a log', line.replace('--partial', '--log-file=/tmp/x')],
    ['another directory for parts', line.replace('--partial', '--partial-dir=/tmp')],
    ['another temporary directory', line.replace('--partial', '--temp-dir=/tmp')],
    ['backups', line.replace('--partial', '--backup-dir=/tmp')],
    ['a comparison', line.replace('--partial', '--link-dest=/etc')],
    ['devices as files', line.replace('--partial', '--write-devices')],
    ['names from a file', line.replace('--partial', '--files-from=/etc/passwd')],
    ['another program', line.replace('rsync', '/tmp/rsync')],
    ['no server', line.replace('--server ', '')],
    ['an absolute path', line.replace(inbox, '/etc/')],
    ['the archive itself', line.replace(inbox, './')],
    ['the folder of all lanes', line.replace(inbox, '.incoming/')],
    ['a lane', line.replace(inbox, '.incoming/host/')],
    ['a folder below', line.replace(inbox, `${inbox}x/`)],
    ['a parent', line.replace(inbox, '.incoming/../0123456789abcdef/')],
    ['a parent at the end', line.replace(inbox, `${inbox}../`)],
    ['a run that is a parent', line.replace('0123456789abcdef/', '../')],
    ['a second path', `${line} ${inbox}`],
    ['a file instead of a directory', line.slice(0, -1)],
    ['quotes', line.replace(inbox, `'${inbox}'`)],
    ['a command behind it', `${line};id`],
    ['a command inside', line.replace('60', '$(id)')],
    ['a line feed', `${line}\nid`],
    ['two blanks', line.replace(' -v', '  -v')],
    ['a tab', line.replace(' -v', '\t-v')],
    ['an option behind the path', `${line} --delete`],
    ['an option as path', line.replace(inbox, '--delete')],
    ['an option with the dot as value', line.replace('--timeout=60', '-T')],
    ['an empty option', line.replace('--partial', '-')],
    ['nothing', 'rsync --server'],
    ['too much', `${line}${'x'.repeat(3000)}`],
  ])('with %s is refused', (_, refused) => {
    expect(readRsyncLine(refused)).toMatchObject({ kind: 'refused' });
  });

  test('of any other text is refused, or it writes into an inbox', () => {
    const parts = [
      ...line.split(/(?<= )|(?=\/)/),
      '..',
      '/',
      '-l',
      '--sender',
      "'",
      '\n',
      '--',
      '.',
      ' ',
      'etc',
    ];
    let seed = 1;
    const random = (below: number) => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    for (let round = 0; round < 20_000; round++) {
      const words = line.split(/(?<= )|(?=\/)/);
      for (let change = 0; change <= random(3); change++)
        words.splice(random(words.length), random(2), parts[random(parts.length)] ?? '');
      const read = readRsyncLine(words.join(''));
      if (read.kind === 'refused') continue;
      expect(read.inbox).toMatch(/^\.incoming\/[\w.][\w.-]*\/[0-9a-f]{8,64}\/$/);
      expect(read.inbox.split('/')).not.toContain('..');
      expect(read.words.filter((word) => !word.startsWith('-'))).toEqual(['.', read.inbox]);
      expect(read.words.join(' ')).not.toMatch(/ --(sender|delete|daemon|log-file)|[^\x20-\x7e]/);
      expect(
        read.words.find((word) => /^-[^-]*[lrRDsp][^e]*$/.test(word.split('e')[0] ?? '')),
      ).toBeUndefined();
    }
  });
});
