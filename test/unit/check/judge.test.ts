import { describe, expect, test } from 'vitest';
import { judgeClock, judgeOtherProgram, judgeRsync, judgeSpace, parseDf } from '../../../src/check/judge.ts';
import { spaceIn } from '../../../src/check/space.ts';
import { judgeSshFailure } from '../../../src/check/ssh-trouble.ts';
import { limits } from '../status/limits-kit.ts';

describe('a clock', () => {
  test.each<[number | undefined, number, string]>([
    [0.4, 0.1, 'ok'],
    [-9, 0, 'ok'],
    [-300, 0.2, 'failed'],
    [300, 0.2, 'failed'],
    // The question itself took that long.
    [12, 5, 'ok'],
    [undefined, 0, 'unknown'],
  ])('%s s off, asked within %s s, is %s', (skewS, withinS, result) => {
    expect(judgeClock('beta', skewS === undefined ? undefined : { skewS, withinS }).result).toBe(result);
  });

  test('says which way it is off', () => {
    expect(judgeClock('beta', { skewS: -300, withinS: 0 }).says).toBe(
      "the clock of beta is 5 min 0 s behind this host's",
    );
  });
});

describe('the space of another host', () => {
  const head = 'Filesystem     1024-blocks      Used Available Capacity Mounted on';
  const inodeHead = 'Filesystem      Inodes  IUsed   IFree IUse% Mounted on';
  test.each<[string[], ReturnType<typeof parseDf>]>([
    [[head, '/dev/sda1 103081248 41232499 56569485 43% /'], { all: 41232499 + 56569485, free: 56569485 }],
    [[head, 'a host:/b c   100   40   60   40% /mnt/a b'], { all: 100, free: 60 }],
    [[inodeHead, 'tmpfs 0 0 0 - /run'], { all: 0, free: 0 }],
    [['df: no such thing'], undefined],
    [[], undefined],
  ])('%j', (lines, parsed) => {
    expect(parseDf(lines)).toEqual(parsed);
  });

  test('is judged by size and by inodes', () => {
    const judge = (space: string, inodes: string) => {
      const use = spaceIn([space], [inodes]);
      return use && judgeSpace(limits, { name: 'archivedir', path: '/a' }, use);
    };
    expect(judge('x 1000000 100000 900000 10% /', 'x 1000000 10 999990 1% /')?.result).toBe('ok');
    expect(judge('x 1000000 990000 10000 99% /', 'x 1000000 10 999990 1% /')?.says).toContain('99 % full');
    expect(judge('x 1000000 100000 900000 10% /', 'x 1000000 999990 10 99% /')?.says).toContain(
      'has only 10 free inodes of 1000000',
    );
    expect(judge('nothing', 'x 1 1 1 1% /')).toBeUndefined();
  });
});

const present = 'rsync  version 3.2.7  protocol version 31';

describe('the programs of another host', () => {
  test.each<[string, 2 | 3, string]>([
    ['rsync  version 3.2.7  protocol version 31', 3, 'ok'],
    ['rsync  version v3.5.0  protocol version 32', 3, 'ok'],
    ['rsync  version 2.6.9  protocol version 29', 2, 'ok'],
    ['rsync  version 2.6.9  protocol version 29', 3, 'failed'],
    ['rsync  version 3.2.7  protocol version 31', 2, 'failed'],
    ['sh: 1: rsync: not found', 3, 'failed'],
    ['', 3, 'failed'],
  ])('%j, set as %i, is %s', (said, configured, result) => {
    expect(judgeRsync('beta', { here: present, there: said }, configured)).toMatchObject({ result });
  });

  test('rsync here counts as well, and cmd_standby has no rsync_version', () => {
    const old = 'rsync  version 2.6.9  protocol version 29';
    expect(judgeRsync('beta', { here: old, there: present }, 2).result).toBe('ok');
    expect(judgeRsync('beta', { here: old, there: present }, 3).result).toBe('failed');
    expect(judgeRsync('beta', { here: '', there: present }, 3).result).toBe('unknown');
    expect(judgeRsync('beta', { here: present, there: old }, undefined).result).toBe('ok');
  });

  test.each([
    ['2.0.0', 'ok'],
    ['2.0.7', 'ok'],
    ['2.1.0', 'failed'],
    ['sh: 1: /x/bin/cmd_standby: not found', 'failed'],
    ['', 'failed'],
  ])('cmd_standby %j beside ours of 2.0.0 is %s', (theirs, result) => {
    expect(judgeOtherProgram('beta', theirs, '2.0.0')).toMatchObject({ result });
  });
});

const target = {
  host: 'beta',
  what: 'the standby',
  user: 'postgres',
  ssh: { program: '/usr/bin/ssh', args: ['-p', '2222'] },
  connectTimeoutS: 5,
  debug: false,
};

const changed = `@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
The fingerprint for the ED25519 key sent by the remote host is
SHA256:abc.
Add correct host key in /home/p q/known_hosts to get rid of this message.
Offending ED25519 key in /home/p q/known_hosts:7
  remove with:
  ssh-keygen -f '/home/p q/known_hosts' -R '[beta]:2222'
Host key for [beta]:2222 has changed and you have requested strict checking.
Host key verification failed.`;

describe('a host that ssh cannot reach', () => {
  const judge = (said: string) =>
    judgeSshFailure(target, 'ssh: exit status 255', said, { key: 'slaves', me: 'me' });

  test('whose key was changed', () => {
    const { says, hint } = judge(changed);
    expect(says).toContain('is not the ED25519 key in /home/p q/known_hosts, line 7');
    expect(hint).toContain("ssh-keygen -f '/home/p q/known_hosts' -R '[beta]:2222'");
  });

  test.each([
    [
      'No ED25519 host key is known for beta and you have requested strict checking.\nHost key verification failed.',
      'the host key of beta is not known here',
    ],
    ['postgres@beta: Permission denied (publickey).', 'no key of me is authorised there'],
    ['ssh: Could not resolve hostname beta: Name or service not known', 'there is no host of the name beta'],
    [
      'ssh: connect to host beta port 22: Connection refused',
      'beta does not answer by ssh: Connection refused',
    ],
    ['ssh: connect to host beta port 22: No route to host', 'beta does not answer by ssh: No route to host'],
    ["rrsync error: SSH_ORIGINAL_COMMAND='sh' is not rsync", 'beta lets us in, but runs no sh for us'],
    ['Bad configuration option: x', 'beta cannot be reached: ssh: exit status 255'],
  ])('%j', (said, says) => {
    const verdict = judge(said);
    expect(verdict).toMatchObject({ result: 'failed', says: expect.stringContaining(says) as string });
    expect(verdict.hint).toBeDefined();
  });

  test('that runs another command than sh', () => {
    const words = { key: 'slaves', me: 'me' };
    const verdict = judgeSshFailure(target, 'ssh: exit status 0', '', words);
    expect(verdict.says).toBe('beta lets us in, but runs no sh for us: ssh: exit status 0');
  });

  test('is tried by hand with the flags of the INI file', () => {
    expect(judge('Permission denied').hint).toContain('/usr/bin/ssh -p 2222 -l postgres beta true');
  });
});
