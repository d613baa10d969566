import { describe, expect, test } from 'vitest';
import { PitrError } from '../../../src/errors.ts';
import { logFailure, textLog, timeStamp } from '../../../src/system/log.ts';

function recorded(debug: boolean) {
  const said: string[] = [];
  return { said, log: textLog({ debug }, (text) => said.push(text)) };
}

describe('the text form of the log', () => {
  test("looks like PostgreSQL's own messages", () => {
    const { said, log } = recorded(true);
    log.debug('d');
    log.notice('n');
    log.warning('w', { detail: 'more', hint: 'Do this.', code: 3 });
    expect(said).toEqual(['DEBUG: d\n', 'NOTICE: n\n', 'WARNING: w\nDETAIL: more\nHINT: Do this.\n']);
  });

  test('of a service begins each message with the time', () => {
    const said: string[] = [];
    const log = textLog({ debug: false, stamp: () => timeStamp(1_795_628_221_123) }, (text) =>
      said.push(text),
    );
    log.warning('w', { hint: 'Do this.' });
    expect(said).toEqual(['2026-11-25 17:37:01.123 UTC WARNING: w\nHINT: Do this.\n']);
  });

  test('shows debug messages only on request', () => {
    const { said, log } = recorded(false);
    log.debug('d');
    expect(said).toEqual([]);
  });
});

describe('a failure in the log', () => {
  test('of the user has message, detail and hint, and no stack', () => {
    const { said, log } = recorded(false);
    logFailure(log, new PitrError('cannot write "x"', { detail: 'ENOSPC', hint: 'Make room.' }));
    expect(said.join('')).toBe('ERROR: cannot write "x"\nDETAIL: ENOSPC\nHINT: Make room.\n');
  });

  test('that is a bug shows its stack and asks for a report', () => {
    const { said, log } = recorded(false);
    logFailure(log, new TypeError('x is undefined'));
    expect(said.join('')).toMatch(/bug in pitrtools.*TypeError: x is undefined\n\s+at /s);
  });
});

test('text from another host cannot control the terminal, or begin a line in place of ours', () => {
  const lines: string[] = [];
  const log = textLog({ debug: false }, (text) => lines.push(text));
  log.warning('standby s1: \x1b]0;owned\x07\rERROR', { detail: 'a\0b' });
  expect(lines).toEqual(['WARNING: standby s1: \\x1b]0;owned\\x07\\rERROR\nDETAIL: a\\x00b\n']);
});
