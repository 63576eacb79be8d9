import { type ReactNode, useEffect } from "react";

/** A page before the sign-in. */
export function Gate({ title, children }: { title: string; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Antiphon Console`;
  }, [title]);
  return (
    <div className="gate">
      <main>
        <div className="brand">
          <img src="/console/mark.svg" alt="" />
          Antiphon
        </div>
        <h1>{title}</h1>
        {children}
      </main>
    </div>
  );
}
