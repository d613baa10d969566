import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { SetupRequest } from '../../../src/setup/request.ts';
import { enableServices } from '../../../src/setup/services.ts';
import type { ProgramDeps } from '../../../src/system/program-deps.ts';

test('--setup --systemd fails if a unit fails, although a later one is not installed', async () => {
  const root = mkdtempSync(join(tmpdir(), 'pitrtools-services-'));
  onTestFinished(() => {
    rmSync(root, { recursive: true });
  });
  const folder = join(root, 'usr/lib/systemd/system');
  mkdirSync(folder, { recursive: true });
  const codeFor = (code: number) => {
    const deps = {
      report: () => undefined,
      log: { error: () => undefined },
      run: () => Promise.resolve({ kind: 'exited', code, stdout: '', stderr: '' }),
    } as unknown as ProgramDeps;
    return enableServices(deps, { role: 'standby', dryRun: false } as SetupRequest, root);
  };
  expect(await codeFor(0)).toBe(8);
  writeFileSync(join(folder, 'pitrtools-cleanup.timer'), '');
  expect(await codeFor(0)).toBe(8);
  expect(await codeFor(1)).toBe(1);
  writeFileSync(join(folder, 'pitrtools-ping.timer'), '');
  expect(await codeFor(0)).toBe(0);
});
