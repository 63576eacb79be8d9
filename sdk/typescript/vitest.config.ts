import { defineConfig } from "vitest/config";

export default defineConfig({
  // No test changes what others see, and a worker for each file costs more than the tests.
  test: { include: ["tests/*.test.ts"], isolate: false },
});
