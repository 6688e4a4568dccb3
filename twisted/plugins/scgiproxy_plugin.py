from twisted.application.service import ServiceMaker

scgiproxy = ServiceMaker(
    "scgiproxy", "scgiproxy.tap", "An HTTP gateway to SCGI applications.", "scgiproxy"
)
