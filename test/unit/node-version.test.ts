import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { oldestNode, refuseOldNode } from '../../src/node-version.ts';

describe('the version of Node.js', () => {
  test.each(['20.19.0', '20.20.2', '22.0.0', '26.10.0'])('%s is accepted', (version) => {
    expect(() => {
      refuseOldNode(version, '/usr/bin/node');
    }).not.toThrow();
  });

  test.each(['16.20.2', '18.20.8', '20.18.3'])('%s is refused with its path', (version) => {
    expect(() => {
      refuseOldNode(version, '/usr/bin/node');
    }).toThrow(`"/usr/bin/node" is Node.js ${version}, but 20.19 or later is needed`);
  });

  test('is the same in package.json', () => {
    const { engines } = JSON.parse(readFileSync('package.json', 'utf8')) as { engines: { node: string } };
    expect(engines.node).toBe(`>=${oldestNode.major}.${oldestNode.minor}`);
  });
});
