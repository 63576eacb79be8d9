import { Modal, type ModalProps } from "@mantine/core";
import { useEffect, useState } from "react";

/** What had the focus; of an item of a menu, which goes away, the button that opens the menu. */
function focused(): HTMLElement | null {
  const element = document.activeElement;
  const opener = element?.closest("[role=menu]")?.getAttribute("aria-labelledby");
  const found = opener ? document.getElementById(opener) : element;
  return found instanceof HTMLElement ? found : null;
}

/** A window before the page, as long as it is rendered; then the focus goes back to where it was. */
export function Window(props: Omit<ModalProps, "opened">) {
  const [before] = useState(focused);
  useEffect(() => () => before?.focus(), [before]);
  return <Modal opened closeButtonProps={{ "aria-label": "Close" }} {...props} />;
}
