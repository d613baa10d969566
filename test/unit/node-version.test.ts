import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { oldestNode } from '../../src/node-version.ts';
import { checkout } from '../harness/checkout.ts';

const guard = readFileSync(checkout('bin', 'require-node.cjs'), 'utf8');

/** The output and exit status of the file that the launchers load first; the status is undefined if it lets the program run. */
function guarded(version: string, args: readonly string[] = []) {
  let output = '';
  let answer = '';
  let status: number | undefined;
  const process = {
    versions: { node: version },
    execPath: '/usr/bin/node',
    argv: ['/usr/bin/node', '/p/dist/cmd-archiver.js', ...args],
    stdout: { write: (text: string) => (answer += text) },
    stderr: { write: (text: string) => (output += text) },
    exit: (code: number) => (status = code),
  };
  runInNewContext(guard, { process });
  return { output, answer, status };
}

describe('the version of Node.js', () => {
  test.each(['20.19.0', '20.20.2', '22.0.0', '26.10.0'])('%s is accepted', (version) => {
    expect(guarded(version, ['--nagios'])).toEqual({ output: '', answer: '', status: undefined });
  });

  test.each(['0.12.18', '12.22.12', '16.20.2', '18.20.8', '20.18.3'])(
    '%s is refused with its path',
    (version) => {
      const { output, answer, status } = guarded(version);
      expect(output).toMatch(
        new RegExp(
          `^ERROR: "/usr/bin/node" is Node.js ${version}, but 20.19 or later is needed\nHINT: .*\n$`,
        ),
      );
      expect(answer).toBe('');
      expect(status).toBe(4);
    },
  );

  test('is refused as Nagios can show it', () => {
    expect(guarded('18.20.8', ['--status', '--nagios'])).toMatchObject({
      answer: 'pitrtools UNKNOWN - "/usr/bin/node" is Node.js 18.20.8, but 20.19 or later is needed\n',
      status: 3,
    });
  });

  test('is checked in a syntax that old releases read', () => {
    expect(guard.replace(/^\/\/.*$/gm, '')).not.toMatch(
      /=>|`|\b(const|let|class|async|await|import)\b|\?[.?]/,
    );
  });

  test('is the same in package.json', () => {
    const { engines } = JSON.parse(readFileSync(checkout('package.json'), 'utf8')) as {
      engines: { node: string };
    };
    const oldest = `${oldestNode.major}.${oldestNode.minor}`;
    expect(engines.node).toBe(`>=${oldest}`);
    expect(guarded('1.0.0').output).toContain(`but ${oldest} or later`);
  });
});
