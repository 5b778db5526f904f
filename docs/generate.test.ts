import { describe, expect, test } from 'vitest';
import { generatedFiles, isCurrent } from './generate.ts';

describe('generated pages', () => {
  test.each(Object.keys(generatedFiles()))('%s is what `make docs` makes now', (path) => {
    expect(isCurrent(path)).toBe(true);
  });
});
